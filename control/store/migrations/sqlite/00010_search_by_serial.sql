-- A second index of searches has devices in the order of their serial numbers,
-- and both know groups: so a page ends these searches too, whoever matches. Control
-- fills them next (pieces.go). By last change what an index finds is sorted, for
-- which that is beside its places.

-- +goose Up
DROP TABLE devices_search;
ALTER TABLE devices ADD COLUMN serial_place INTEGER;
UPDATE devices SET serial_place = n.place FROM (
    SELECT num, (n / 48 * 4096) * 64 + n % 48 AS place FROM (SELECT num, ROW_NUMBER() OVER (ORDER BY COALESCE(serial, ''), id) - 1 AS n FROM devices)
) AS n WHERE n.num = devices.num;
DROP INDEX devices_place;
UPDATE devices SET place = n.place FROM (
    SELECT num, (n / 48 * 4096) * 64 + n % 48 AS place FROM (SELECT num, ROW_NUMBER() OVER (ORDER BY sort_name, id) - 1 AS n FROM devices)
) AS n WHERE n.num = devices.num; -- room for others
CREATE UNIQUE INDEX devices_serial_place ON devices (serial_place);
CREATE INDEX devices_place ON devices (place, since, id);
DROP INDEX devices_serial; -- it had what searches look in
CREATE INDEX devices_serial ON devices (account, COALESCE(serial, ''), id);
CREATE VIRTUAL TABLE devices_search USING fts5 (words, content = '', tokenize = 'ascii', detail = 'none', prefix = '1 2');
INSERT INTO devices_search (devices_search, rank) VALUES ('automerge', 8);
CREATE VIRTUAL TABLE devices_search_serial USING fts5 (words, content = '', tokenize = 'ascii', detail = 'none', prefix = '1 2');
INSERT INTO devices_search_serial (devices_search_serial, rank) VALUES ('automerge', 8);

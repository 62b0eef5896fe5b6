-- Devices have places in the order of their names (order.go), and the index of
-- searches knows them by these: what matches comes out of it in that order, so
-- that a page ends the search. It has pieces of texts, and accounts, as words that
-- control makes (pieces.go), which fills it next.

-- +goose Up
DROP TRIGGER devices_search_add;
DROP TRIGGER devices_search_change;
DROP TRIGGER devices_search_remove;
DROP TABLE devices_search;
ALTER TABLE devices ADD COLUMN place INTEGER;
-- 48 devices in a bucket for 64, and a bucket at every 4096th label.
UPDATE devices SET place = n.place FROM (
    SELECT num, (n / 48 * 4096) * 64 + n % 48 AS place FROM (SELECT num, ROW_NUMBER() OVER (ORDER BY sort_name, id) - 1 AS n FROM devices)
) AS n WHERE n.num = devices.num;
CREATE UNIQUE INDEX devices_place ON devices (place);
CREATE VIRTUAL TABLE devices_search USING fts5 (words, content = '', tokenize = 'ascii', detail = 'none', prefix = '1 2');
-- The index is merged from more parts at a time than the 4 there otherwise are:
-- devices that are added cost a fifth less by that.
INSERT INTO devices_search (devices_search, rank) VALUES ('automerge', 8);

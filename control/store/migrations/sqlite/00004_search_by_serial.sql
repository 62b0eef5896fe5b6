-- As those by name: a search in the order of serial numbers has what it looks
-- in at hand. Not so by time, whose index is written at every connect.

-- +goose Up
DROP INDEX devices_serial;
CREATE INDEX devices_serial ON devices (account, COALESCE(serial, ''), id, search);

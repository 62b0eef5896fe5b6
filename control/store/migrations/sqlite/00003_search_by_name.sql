-- A search that much matches goes through the devices in the order of their
-- names: with what it looks in at hand it need not go to each one's row.

-- +goose Up
DROP INDEX devices_name;
CREATE INDEX devices_name ON devices (account, sort_name, id, search);
DROP INDEX devices_status;
CREATE INDEX devices_status ON devices (account, status, sort_name, id, search);
DROP INDEX devices_group;
CREATE INDEX devices_group ON devices (account, grp, sort_name, id, search);
DROP INDEX devices_all;
CREATE INDEX devices_all ON devices (sort_name, id, account, search);

-- Where a device's tunnels should be: what the account says, and what is said of
-- the device itself.

-- +goose Up
ALTER TABLE accounts ADD COLUMN region TEXT NOT NULL DEFAULT ''; -- '': any
ALTER TABLE accounts ADD COLUMN second BIGINT NOT NULL DEFAULT 0; -- 1: devices keep a second tunnel
ALTER TABLE devices ADD COLUMN region TEXT NOT NULL DEFAULT ''; -- '': the account's
ALTER TABLE devices ADD COLUMN second TEXT NOT NULL DEFAULT ''; -- 'on', 'off'; '': the account's

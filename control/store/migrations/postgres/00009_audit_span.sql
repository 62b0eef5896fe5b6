-- The first and the last entry of a time are read from an index alone: an entry's
-- number has to be on it.

-- +goose Up
SET LOCAL statement_timeout = 0;
CREATE INDEX audit_span ON audit (account, at, seq);
DROP INDEX audit_time;

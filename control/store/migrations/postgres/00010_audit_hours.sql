-- Which numbers the audit entries of an hour have: in blocks of 1,024, so that one
-- that is added seldom writes anything here. A list of a time with a filter or a
-- search looked at each entry of the time to find the first and the last.

-- +goose Up
SET LOCAL statement_timeout = 0;
CREATE TABLE audit_hours (
    account TEXT COLLATE "C" NOT NULL,
    hour    BIGINT NOT NULL, -- since 1970
    block   BIGINT NOT NULL,
    PRIMARY KEY (account, hour, block)
);
-- +goose StatementBegin
CREATE FUNCTION audit_hours_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_hours VALUES (NEW.account, NEW.at / 3600000000, NEW.seq / 1024) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER audit_hours_add AFTER INSERT ON audit FOR EACH ROW EXECUTE FUNCTION audit_hours_follow();
INSERT INTO audit_hours SELECT DISTINCT account, at / 3600000000, seq / 1024 FROM audit;
-- What was refused, of a person or an action of a time, is read from it alone.
DROP INDEX audit_refused;
CREATE INDEX audit_refused ON audit (account, seq, actor, action, outcome, at) WHERE outcome <> 'ok';
-- A group's devices stand in the order of serial numbers too.
CREATE INDEX devices_group_serial ON devices (account, grp, (COALESCE(serial, '')), id);

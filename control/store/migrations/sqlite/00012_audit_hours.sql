-- Which numbers the audit entries of an hour have: in blocks of 1,024, so that one
-- that is added seldom writes anything here. A list of a time with a filter or a
-- search looked at each entry of the time to find the first and the last.

-- +goose Up
CREATE TABLE audit_hours (
    account TEXT NOT NULL,
    hour    BIGINT NOT NULL, -- since 1970
    block   BIGINT NOT NULL,
    PRIMARY KEY (account, hour, block)
) WITHOUT ROWID;
-- +goose StatementBegin
CREATE TRIGGER audit_hours_add AFTER INSERT ON audit BEGIN
    INSERT INTO audit_hours VALUES (new.account, new.at / 3600000000, new.seq / 1024) ON CONFLICT DO NOTHING;
END;
-- +goose StatementEnd
INSERT INTO audit_hours SELECT DISTINCT account, at / 3600000000, seq / 1024 FROM audit;
-- What was refused, of a person or an action of a time, is read from it alone.
DROP INDEX audit_refused;
CREATE INDEX audit_refused ON audit (account, seq, actor, action, outcome, at) WHERE outcome <> 'ok';

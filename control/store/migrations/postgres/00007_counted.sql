-- What the overview says is counted as it changes, or found on an index of few
-- rows: it is looked at every four seconds, and had all of an account's devices,
-- sites and visits read for it. So are the devices of groups and of resellers, the
-- visits that are on, and the audit entries of a day.
--
-- Who writes a device changes no count, for which writers would wait for each
-- other, but adds what came and what went to count_changes; control adds these up
-- afterwards (AddUpCounts), and whoever reads sees both.

-- +goose Up
SET LOCAL statement_timeout = 0; -- control's is for lists, not for indexes of all visits
CREATE TABLE added_counts (
    account TEXT COLLATE "C" NOT NULL,
    grp     TEXT COLLATE "C" NOT NULL,
    status  TEXT COLLATE "C" NOT NULL,
    n       BIGINT NOT NULL,
    PRIMARY KEY (account, grp, status)
);
CREATE TABLE count_changes (
    account TEXT COLLATE "C" NOT NULL,
    grp     TEXT COLLATE "C" NOT NULL,
    status  TEXT COLLATE "C" NOT NULL,
    n       BIGINT NOT NULL -- 1 or -1
);
CREATE INDEX count_changes_account ON count_changes (account, grp);
CREATE VIEW device_counts AS SELECT account, grp, status, n FROM added_counts UNION ALL SELECT account, grp, status, n FROM count_changes;
INSERT INTO added_counts SELECT account, grp, status, COUNT(*) FROM devices GROUP BY account, grp, status;
-- +goose StatementBegin
CREATE FUNCTION device_counts_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO count_changes VALUES (OLD.account, OLD.grp, OLD.status, -1);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO count_changes VALUES (NEW.account, NEW.grp, NEW.status, 1);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER device_counts_add AFTER INSERT OR DELETE ON devices FOR EACH ROW EXECUTE FUNCTION device_counts_follow();
CREATE TRIGGER device_counts_change AFTER UPDATE ON devices FOR EACH ROW
    WHEN (OLD.status <> NEW.status OR OLD.grp <> NEW.grp OR OLD.account <> NEW.account) EXECUTE FUNCTION device_counts_follow();
CREATE INDEX sites_alarm ON sites (account) WHERE alarm <> '';
CREATE INDEX visits_live_account ON visits (account, started, id) WHERE ended = 0;
CREATE INDEX audit_time ON audit (account, at);

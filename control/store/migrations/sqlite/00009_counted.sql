-- What the overview says is counted as it changes, or found on an index of few
-- rows: it is looked at every four seconds, and had all of an account's devices,
-- sites and visits read for it. So are the devices of groups and of resellers, the
-- visits that are on, and the audit entries of a day.

-- +goose Up
CREATE TABLE device_counts (
    account TEXT NOT NULL,
    grp     TEXT NOT NULL,
    status  TEXT NOT NULL,
    n       BIGINT NOT NULL,
    PRIMARY KEY (account, grp, status)
) WITHOUT ROWID;
INSERT INTO device_counts SELECT account, grp, status, COUNT(*) FROM devices GROUP BY account, grp, status;
-- +goose StatementBegin
CREATE TRIGGER device_counts_add AFTER INSERT ON devices BEGIN
    INSERT INTO device_counts VALUES (new.account, new.grp, new.status, 1) ON CONFLICT (account, grp, status) DO UPDATE SET n = n + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER device_counts_change AFTER UPDATE OF account, grp, status ON devices
WHEN old.status <> new.status OR old.grp <> new.grp OR old.account <> new.account BEGIN
    UPDATE device_counts SET n = n - 1 WHERE account = old.account AND grp = old.grp AND status = old.status;
    INSERT INTO device_counts VALUES (new.account, new.grp, new.status, 1) ON CONFLICT (account, grp, status) DO UPDATE SET n = n + 1;
    DELETE FROM device_counts WHERE account = old.account AND grp = old.grp AND status = old.status AND n = 0;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER device_counts_remove AFTER DELETE ON devices BEGIN
    UPDATE device_counts SET n = n - 1 WHERE account = old.account AND grp = old.grp AND status = old.status;
    DELETE FROM device_counts WHERE account = old.account AND grp = old.grp AND status = old.status AND n = 0;
END;
-- +goose StatementEnd
CREATE INDEX sites_alarm ON sites (account) WHERE alarm <> '';
CREATE INDEX visits_live_account ON visits (account, started, id) WHERE ended = 0;
CREATE INDEX audit_time ON audit (account, at);

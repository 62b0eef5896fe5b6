-- Codes, groups, rights, invitations, tokens, resellers' connections, pairs,
-- licences in the database, and what happened to a device when.

-- +goose Up
ALTER TABLE accounts ADD COLUMN path TEXT NOT NULL DEFAULT ''; -- ids from the root down, each with a slash after it
ALTER TABLE accounts ADD COLUMN sort_name TEXT NOT NULL DEFAULT ''; -- lower case
ALTER TABLE accounts ADD COLUMN allotted BIGINT NOT NULL DEFAULT 0; -- connections given by the parent; the root's are the licence's
ALTER TABLE accounts ADD COLUMN used BIGINT NOT NULL DEFAULT 0; -- its sites that take a connection
UPDATE accounts SET path = id || '/', sort_name = lower(name),
    used = (SELECT COUNT(*) FROM sites WHERE sites.account = accounts.id);
CREATE UNIQUE INDEX accounts_path ON accounts (path);
CREATE INDEX accounts_parent ON accounts (parent, sort_name, id);

ALTER TABLE users ADD COLUMN sort_name TEXT NOT NULL DEFAULT ''; -- lower case
ALTER TABLE users ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN invite TEXT; -- hash of an invitation that is open
ALTER TABLE users ADD COLUMN invite_expires BIGINT NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN last_seen BIGINT NOT NULL DEFAULT 0; -- signed in
UPDATE users SET sort_name = lower(name);
CREATE UNIQUE INDEX users_invite ON users (invite);
DROP INDEX users_account;
CREATE INDEX users_account ON users (account, sort_name, id);

CREATE TABLE device_groups (
    id        TEXT PRIMARY KEY,
    account   TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name      TEXT NOT NULL,
    sort_name TEXT NOT NULL, -- lower case
    created   BIGINT NOT NULL,
    UNIQUE (account, sort_name)
);

-- What a role may do with the devices of a group; '' is every group that has
-- no row, and devices without one. A role without rows has its defaults.
CREATE TABLE role_rights (
    account TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    role    TEXT NOT NULL,
    grp     TEXT NOT NULL,
    rights  BIGINT NOT NULL, -- bits
    PRIMARY KEY (account, role, grp)
);

CREATE TABLE api_tokens (
    id        TEXT PRIMARY KEY,
    account   TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    user_id   TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name      TEXT NOT NULL,
    hash      TEXT NOT NULL UNIQUE,
    scopes    TEXT NOT NULL, -- parted by spaces
    created   BIGINT NOT NULL,
    expires   BIGINT NOT NULL,
    last_used BIGINT NOT NULL
);
CREATE INDEX api_tokens_user ON api_tokens (user_id, created);

ALTER TABLE sites ADD COLUMN licensed INTEGER NOT NULL DEFAULT 1; -- 0: over capacity, it takes no connection
ALTER TABLE sites ADD COLUMN active TEXT NOT NULL DEFAULT ''; -- the pair's member that serves
ALTER TABLE sites ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0; -- grows with each change of active
ALTER TABLE sites ADD COLUMN claim BIGINT NOT NULL DEFAULT 0; -- by which active serves
ALTER TABLE sites ADD COLUMN alarm TEXT NOT NULL DEFAULT ''; -- what is wrong with the pair
CREATE INDEX sites_unlicensed ON sites (account, created, id) WHERE licensed = 0;

-- A device that was added and not activated yet has no serial, site and key.
CREATE TABLE devices_2 (
    num          INTEGER PRIMARY KEY, -- what a search's index knows it by: VACUUM leaves it alone
    id           TEXT NOT NULL UNIQUE,
    account      TEXT NOT NULL REFERENCES accounts (id),
    site         TEXT REFERENCES sites (id),
    serial       TEXT UNIQUE,
    name         TEXT NOT NULL,
    sort_name    TEXT NOT NULL, -- lower case
    search       TEXT NOT NULL, -- lower case: what a search looks in
    grp          TEXT NOT NULL, -- '' if none
    comment      TEXT NOT NULL,
    passwordless INTEGER NOT NULL, -- allowed by the provider
    model        TEXT NOT NULL,
    firmware     TEXT NOT NULL,
    public_key   BLOB,
    created      BIGINT NOT NULL,
    activated    BIGINT NOT NULL,
    code         TEXT UNIQUE, -- hash of the newest authentication code; kept once used, so that a repeated request is known again
    code_expires BIGINT NOT NULL,
    code_used    BIGINT NOT NULL,
    hs_enabled   INTEGER NOT NULL,
    hs_type      TEXT NOT NULL,
    hs_role      TEXT NOT NULL,
    hs_peer      TEXT NOT NULL,
    hs_claim     BIGINT NOT NULL,
    joined       BIGINT NOT NULL, -- the peer's site, which has not named it back yet
    issued       BIGINT NOT NULL, -- of the newest pass
    void         BIGINT NOT NULL, -- passes issued until then are void
    status       TEXT NOT NULL,
    reason       TEXT NOT NULL,
    since        BIGINT NOT NULL,
    relay        TEXT NOT NULL,
    remote       TEXT NOT NULL,
    agent        TEXT NOT NULL,
    l_account      INTEGER NOT NULL, -- logins that the PBX offers
    l_passwordless INTEGER NOT NULL,
    l_auto_logout  BIGINT NOT NULL -- minutes; 0: unsaid
);
INSERT INTO devices_2 SELECT NULL, id, account, site, serial, name, sort_name, search, '', '', 0, model, firmware, public_key,
    activated, activated, NULL, 0, 0, hs_enabled, hs_type, hs_role, hs_peer, 0, 0, issued, void,
    status, reason, since, relay, remote, agent, 0, 0, 0 FROM devices;
DROP TABLE devices;
ALTER TABLE devices_2 RENAME TO devices;
CREATE INDEX devices_site ON devices (site);
CREATE INDEX devices_peer ON devices (hs_peer) WHERE hs_enabled = 1;
CREATE INDEX devices_joined ON devices (joined) WHERE joined <> 0;
CREATE INDEX devices_name ON devices (account, sort_name, id);
CREATE INDEX devices_status ON devices (account, status, sort_name, id);
CREATE INDEX devices_group ON devices (account, grp, sort_name, id);
CREATE INDEX devices_all ON devices (sort_name, id);
CREATE INDEX devices_group_status ON devices (account, grp, status, sort_name, id);
CREATE INDEX devices_since ON devices (account, since, id);
CREATE INDEX devices_all_since ON devices (since, id);
CREATE INDEX devices_serial ON devices (account, COALESCE(serial, ''), id);
CREATE INDEX devices_all_serial ON devices (COALESCE(serial, ''), id);
CREATE INDEX devices_connected ON devices (id) WHERE status = 'connected';

-- What staff saw of a device, in order: a page's timeline.
CREATE TABLE device_events (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    device TEXT NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    at     BIGINT NOT NULL,
    kind   TEXT NOT NULL, -- a status, or a word for what else happened
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    UNIQUE (device, at, kind)
);
CREATE INDEX device_events_device ON device_events (device, seq);

CREATE INDEX visits_live_user ON visits (user_id) WHERE ended = 0;
CREATE INDEX visits_device ON visits (device, started, id);

CREATE TABLE licences (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT, -- the highest is in force
    file      BLOB NOT NULL,
    installed BIGINT NOT NULL,
    actor     TEXT NOT NULL
);

-- An account's numbers over time, for small charts.
CREATE TABLE samples (
    account   TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    at        BIGINT NOT NULL,
    connected BIGINT NOT NULL,
    devices   BIGINT NOT NULL,
    visits    BIGINT NOT NULL,
    PRIMARY KEY (account, at)
);
CREATE INDEX samples_at ON samples (at);

-- Answers to requests that carried an Idempotency-Key. They are sealed with
-- that key, which is not kept, since some hold secrets.
CREATE TABLE idempotency (
    key     TEXT PRIMARY KEY, -- hash of who asked and the key
    request TEXT NOT NULL, -- hash of what was asked
    status  BIGINT NOT NULL, -- 0: being served
    answer  BLOB,
    at      BIGINT NOT NULL
);
CREATE INDEX idempotency_at ON idempotency (at);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_actor ON audit (account, actor, seq);
CREATE INDEX audit_outcome ON audit (account, outcome, seq);
CREATE INDEX audit_refused ON audit (account, seq) WHERE outcome <> 'ok';
CREATE INDEX visits_user ON visits (account, user_id, started, id);

-- Where a text of three letters and more is found in the middle of words.
CREATE VIRTUAL TABLE devices_search USING fts5 (search, content = 'devices', content_rowid = 'num', tokenize = 'trigram', detail = 'full');
INSERT INTO devices_search (rowid, search) SELECT num, search FROM devices;
CREATE VIRTUAL TABLE audit_search USING fts5 (search, content = 'audit', content_rowid = 'seq', tokenize = 'trigram', detail = 'full');
INSERT INTO audit_search (rowid, search) SELECT seq, search FROM audit;
-- +goose StatementBegin
CREATE TRIGGER devices_search_add AFTER INSERT ON devices BEGIN
    INSERT INTO devices_search (rowid, search) VALUES (new.num, new.search);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER devices_search_change AFTER UPDATE OF search ON devices WHEN old.search <> new.search BEGIN
    INSERT INTO devices_search (devices_search, rowid, search) VALUES ('delete', old.num, old.search);
    INSERT INTO devices_search (rowid, search) VALUES (new.num, new.search);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER devices_search_remove AFTER DELETE ON devices BEGIN
    INSERT INTO devices_search (devices_search, rowid, search) VALUES ('delete', old.num, old.search);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_search_add AFTER INSERT ON audit BEGIN
    INSERT INTO audit_search (rowid, search) VALUES (new.seq, new.search);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_search_remove AFTER DELETE ON audit BEGIN
    INSERT INTO audit_search (audit_search, rowid, search) VALUES ('delete', old.seq, old.search);
END;
-- +goose StatementEnd

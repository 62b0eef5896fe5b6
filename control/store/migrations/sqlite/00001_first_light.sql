-- Times are microseconds since 1970 in UTC; 0 is "not set". Forward only:
-- there is no Down, a newer database is refused by an older program.

-- +goose Up
CREATE TABLE accounts (
    id      TEXT PRIMARY KEY,
    parent  TEXT REFERENCES accounts (id),
    name    TEXT NOT NULL,
    created BIGINT NOT NULL
);
-- There is one root.
CREATE UNIQUE INDEX accounts_root ON accounts (COALESCE(parent, '')) WHERE parent IS NULL;

CREATE TABLE users (
    id      TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (id),
    email   TEXT NOT NULL UNIQUE,
    name    TEXT NOT NULL,
    role    TEXT NOT NULL,
    hash    TEXT NOT NULL,
    created BIGINT NOT NULL
);
CREATE INDEX users_account ON users (account);

CREATE TABLE sessions (
    hash    TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id, created);
CREATE INDEX sessions_expires ON sessions (expires);

CREATE TABLE sites (
    id      TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (id),
    created BIGINT NOT NULL
);
CREATE INDEX sites_account ON sites (account);

CREATE TABLE devices (
    id         TEXT PRIMARY KEY,
    account    TEXT NOT NULL REFERENCES accounts (id),
    site       TEXT NOT NULL REFERENCES sites (id),
    serial     TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    sort_name  TEXT NOT NULL, -- lower case
    search     TEXT NOT NULL, -- lower case: what a search looks in
    model      TEXT NOT NULL,
    firmware   TEXT NOT NULL,
    public_key BLOB NOT NULL,
    activated  BIGINT NOT NULL,
    hs_enabled INTEGER NOT NULL,
    hs_type    TEXT NOT NULL,
    hs_role    TEXT NOT NULL,
    hs_peer    TEXT NOT NULL,
    issued     BIGINT NOT NULL, -- of the newest pass
    void       BIGINT NOT NULL, -- passes issued until then are void
    status     TEXT NOT NULL,
    reason     TEXT NOT NULL,
    since      BIGINT NOT NULL,
    relay      TEXT NOT NULL,
    remote     TEXT NOT NULL,
    agent      TEXT NOT NULL
);
CREATE INDEX devices_site ON devices (site);
CREATE INDEX devices_name ON devices (account, sort_name, id);
CREATE INDEX devices_status ON devices (account, status, sort_name, id);
CREATE INDEX devices_connected ON devices (id) WHERE status = 'connected';

-- A visit outlives its device: it is a record.
CREATE TABLE visits (
    id          TEXT PRIMARY KEY,
    account     TEXT NOT NULL REFERENCES accounts (id),
    site        TEXT NOT NULL,
    device      TEXT NOT NULL,
    device_name TEXT NOT NULL,
    user_id     TEXT NOT NULL,
    who         TEXT NOT NULL,
    method      TEXT NOT NULL,
    idle        BIGINT NOT NULL, -- microseconds
    started     BIGINT NOT NULL,
    expires     BIGINT NOT NULL,
    handover    TEXT NOT NULL, -- hash
    opened      BIGINT NOT NULL,
    ended       BIGINT NOT NULL,
    end_code    TEXT NOT NULL,
    remote      TEXT NOT NULL
);
CREATE INDEX visits_started ON visits (account, started, id);
CREATE INDEX visits_live ON visits (started) WHERE ended = 0;

-- Each relay counts for itself.
CREATE TABLE visit_traffic (
    visit     TEXT NOT NULL REFERENCES visits (id) ON DELETE CASCADE,
    relay     TEXT NOT NULL,
    bytes_in  BIGINT NOT NULL,
    bytes_out BIGINT NOT NULL,
    requests  BIGINT NOT NULL,
    PRIMARY KEY (visit, relay)
);

CREATE TABLE signing_keys (
    id         TEXT PRIMARY KEY,
    seed       BLOB NOT NULL, -- Ed25519, RFC 8032
    not_before BIGINT NOT NULL,
    not_after  BIGINT NOT NULL
);

CREATE TABLE seal_keys (
    id         TEXT PRIMARY KEY,
    secret     BLOB NOT NULL,
    not_before BIGINT NOT NULL,
    not_after  BIGINT NOT NULL
);

CREATE TABLE revocations (
    key   TEXT PRIMARY KEY,
    code  TEXT NOT NULL,
    at    BIGINT NOT NULL,
    until BIGINT NOT NULL
);
CREATE INDEX revocations_until ON revocations (until);

CREATE TABLE audit (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    at       BIGINT NOT NULL,
    account  TEXT NOT NULL, -- '' if none is known
    actor    TEXT NOT NULL,
    remote   TEXT NOT NULL,
    action   TEXT NOT NULL,
    object   TEXT NOT NULL,
    outcome  TEXT NOT NULL,
    detail   TEXT NOT NULL,
    search   TEXT NOT NULL, -- lower case
    once_key TEXT UNIQUE    -- of entries that must not be there twice
);
CREATE INDEX audit_account ON audit (account, seq);
CREATE INDEX audit_action ON audit (account, action, seq);

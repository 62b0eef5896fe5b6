-- Codes, groups, rights, invitations, tokens, resellers' connections, pairs,
-- licences in the database, and what happened to a device when.

-- +goose Up
ALTER TABLE accounts ADD COLUMN path TEXT COLLATE "C" NOT NULL DEFAULT ''; -- ids from the root down, each with a slash after it
ALTER TABLE accounts ADD COLUMN sort_name TEXT COLLATE "C" NOT NULL DEFAULT ''; -- lower case
ALTER TABLE accounts ADD COLUMN allotted BIGINT NOT NULL DEFAULT 0; -- connections given by the parent; the root's are the licence's
ALTER TABLE accounts ADD COLUMN used BIGINT NOT NULL DEFAULT 0; -- its sites that take a connection
UPDATE accounts SET path = id || '/', sort_name = lower(name),
    used = (SELECT COUNT(*) FROM sites WHERE sites.account = accounts.id);
CREATE UNIQUE INDEX accounts_path ON accounts (path);
CREATE INDEX accounts_parent ON accounts (parent, sort_name, id);

ALTER TABLE users ADD COLUMN sort_name TEXT COLLATE "C" NOT NULL DEFAULT ''; -- lower case
ALTER TABLE users ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN invite TEXT COLLATE "C"; -- hash of an invitation that is open
ALTER TABLE users ADD COLUMN invite_expires BIGINT NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN last_seen BIGINT NOT NULL DEFAULT 0; -- signed in
UPDATE users SET sort_name = lower(name);
CREATE UNIQUE INDEX users_invite ON users (invite);
DROP INDEX users_account;
CREATE INDEX users_account ON users (account, sort_name, id);

CREATE TABLE device_groups (
    id        TEXT COLLATE "C" PRIMARY KEY,
    account   TEXT COLLATE "C" NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name      TEXT COLLATE "C" NOT NULL,
    sort_name TEXT COLLATE "C" NOT NULL, -- lower case
    created   BIGINT NOT NULL,
    UNIQUE (account, sort_name)
);

-- What a role may do with the devices of a group; '' is every group that has
-- no row, and devices without one. A role without rows has its defaults.
CREATE TABLE role_rights (
    account TEXT COLLATE "C" NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    role    TEXT COLLATE "C" NOT NULL,
    grp     TEXT COLLATE "C" NOT NULL,
    rights  BIGINT NOT NULL, -- bits
    PRIMARY KEY (account, role, grp)
);

CREATE TABLE api_tokens (
    id        TEXT COLLATE "C" PRIMARY KEY,
    account   TEXT COLLATE "C" NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    user_id   TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name      TEXT COLLATE "C" NOT NULL,
    hash      TEXT COLLATE "C" NOT NULL UNIQUE,
    scopes    TEXT COLLATE "C" NOT NULL, -- parted by spaces
    created   BIGINT NOT NULL,
    expires   BIGINT NOT NULL,
    last_used BIGINT NOT NULL
);
CREATE INDEX api_tokens_user ON api_tokens (user_id, created);

ALTER TABLE sites ADD COLUMN licensed INTEGER NOT NULL DEFAULT 1; -- 0: over capacity, it takes no connection
ALTER TABLE sites ADD COLUMN active TEXT COLLATE "C" NOT NULL DEFAULT ''; -- the pair's member that serves
ALTER TABLE sites ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0; -- grows with each change of active
ALTER TABLE sites ADD COLUMN claim BIGINT NOT NULL DEFAULT 0; -- by which active serves
ALTER TABLE sites ADD COLUMN alarm TEXT COLLATE "C" NOT NULL DEFAULT ''; -- what is wrong with the pair
CREATE INDEX sites_unlicensed ON sites (account, created, id) WHERE licensed = 0;

-- A device that was added and not activated yet has no serial, site and key.
ALTER TABLE devices ALTER COLUMN site DROP NOT NULL;
ALTER TABLE devices ALTER COLUMN serial DROP NOT NULL;
ALTER TABLE devices ALTER COLUMN public_key DROP NOT NULL;
ALTER TABLE devices
    ADD COLUMN grp TEXT COLLATE "C" NOT NULL DEFAULT '', -- '' if none
    ADD COLUMN comment TEXT COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN passwordless INTEGER NOT NULL DEFAULT 0, -- allowed by the provider
    ADD COLUMN created BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN code TEXT COLLATE "C" UNIQUE, -- hash of the newest authentication code; kept once used, so that a repeated request is known again
    ADD COLUMN code_expires BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN code_used BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN hs_claim BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN joined BIGINT NOT NULL DEFAULT 0, -- the peer's site, which has not named it back yet
    ADD COLUMN l_account INTEGER NOT NULL DEFAULT 0, -- logins that the PBX offers
    ADD COLUMN l_passwordless INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN l_auto_logout BIGINT NOT NULL DEFAULT 0; -- minutes; 0: unsaid
UPDATE devices SET created = activated;
DROP INDEX devices_site;
DROP INDEX devices_name;
DROP INDEX devices_status;
DROP INDEX devices_connected;
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
CREATE INDEX devices_serial ON devices (account, (COALESCE(serial, '')), id);
CREATE INDEX devices_all_serial ON devices ((COALESCE(serial, '')), id);
CREATE INDEX devices_connected ON devices (id) WHERE status = 'connected';

-- What staff saw of a device, in order: a page's timeline.
CREATE TABLE device_events (
    seq    BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    device TEXT COLLATE "C" NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    at     BIGINT NOT NULL,
    kind   TEXT COLLATE "C" NOT NULL, -- a status, or a word for what else happened
    reason TEXT COLLATE "C" NOT NULL,
    detail TEXT COLLATE "C" NOT NULL,
    UNIQUE (device, at, kind)
);
CREATE INDEX device_events_device ON device_events (device, seq);

CREATE INDEX visits_live_user ON visits (user_id) WHERE ended = 0;
CREATE INDEX visits_device ON visits (device, started, id);

CREATE TABLE licences (
    seq       BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, -- the highest is in force
    file      BYTEA NOT NULL,
    installed BIGINT NOT NULL,
    actor     TEXT COLLATE "C" NOT NULL
);

-- An account's numbers over time, for small charts.
CREATE TABLE samples (
    account   TEXT COLLATE "C" NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
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
    key     TEXT COLLATE "C" PRIMARY KEY, -- hash of who asked and the key
    request TEXT COLLATE "C" NOT NULL, -- hash of what was asked
    status  BIGINT NOT NULL, -- 0: being served
    answer  BYTEA,
    at      BIGINT NOT NULL
);
CREATE INDEX idempotency_at ON idempotency (at);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_actor ON audit (account, actor, seq);
CREATE INDEX audit_outcome ON audit (account, outcome, seq);
CREATE INDEX audit_refused ON audit (account, seq) WHERE outcome <> 'ok';
CREATE INDEX visits_user ON visits (account, user_id, started, id);

-- Where a text of three letters and more is found in the middle of words. The
-- extension is PostgreSQL's own; who owns the database may create it.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE INDEX devices_search ON devices USING gin (search gin_trgm_ops);
CREATE INDEX audit_search ON audit USING gin (search gin_trgm_ops);

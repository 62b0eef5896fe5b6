-- Who issues the certificates by which relays know each other.

-- +goose Up
CREATE TABLE peer_authorities (
    id         TEXT COLLATE "C" PRIMARY KEY,
    seed       BYTEA NOT NULL, -- Ed25519, RFC 8032
    cert       BYTEA NOT NULL, -- DER
    not_before BIGINT NOT NULL,
    not_after  BIGINT NOT NULL
);

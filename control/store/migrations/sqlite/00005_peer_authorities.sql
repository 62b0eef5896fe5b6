-- Who issues the certificates by which relays know each other.

-- +goose Up
CREATE TABLE peer_authorities (
    id         TEXT PRIMARY KEY,
    seed       BLOB NOT NULL, -- Ed25519, RFC 8032
    cert       BLOB NOT NULL, -- DER
    not_before BIGINT NOT NULL,
    not_after  BIGINT NOT NULL
);

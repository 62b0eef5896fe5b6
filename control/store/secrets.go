package store

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/peercert"
	"trunkline/internal/token"
)

// Keys are kept in the clear: whoever reads the database can issue passes, and
// certificates of relays. The
// file's mode, and the operator's care for backups, is what guards them.

func (t *tx) SigningKeys() ([]token.SigningKey, error) {
	return all(t, func(r scanner) (k token.SigningKey, err error) {
		var seed []byte
		if err := r.Scan(&k.ID, &seed, stamp{&k.NotBefore}, stamp{&k.NotAfter}); err != nil {
			return k, err
		}
		if len(seed) != ed25519.SeedSize {
			return k, fmt.Errorf("signing key %s: seed of %d bytes", k.ID, len(seed))
		}
		k.Private = ed25519.NewKeyFromSeed(seed)
		return k, nil
	}, "SELECT id, seed, not_before, not_after FROM signing_keys ORDER BY not_before, id")
}

func (t *tx) SealKeys() ([]token.SealKey, error) {
	return all(t, func(r scanner) (k token.SealKey, err error) {
		err = r.Scan(&k.ID, &k.Secret, stamp{&k.NotBefore}, stamp{&k.NotAfter})
		return k, err
	}, "SELECT id, secret, not_before, not_after FROM seal_keys ORDER BY not_before, id")
}

func (t *tx) AddSigningKey(k token.SigningKey) error {
	return t.insert("INSERT INTO signing_keys (id, seed, not_before, not_after) VALUES ($1, $2, $3, $4)",
		k.ID, k.Private.Seed(), micros(k.NotBefore), micros(k.NotAfter))
}

func (t *tx) AddSealKey(k token.SealKey) error {
	return t.insert("INSERT INTO seal_keys (id, secret, not_before, not_after) VALUES ($1, $2, $3, $4)",
		k.ID, k.Secret, micros(k.NotBefore), micros(k.NotAfter))
}

func (t *tx) PeerAuthorities() ([]peercert.Authority, error) {
	return all(t, func(r scanner) (a peercert.Authority, err error) {
		var seed []byte
		if err := r.Scan(&a.ID, &seed, &a.Cert, stamp{&a.NotBefore}, stamp{&a.NotAfter}); err != nil {
			return a, err
		}
		if len(seed) != ed25519.SeedSize {
			return a, fmt.Errorf("peer authority %s: seed of %d bytes", a.ID, len(seed))
		}
		a.Private = ed25519.NewKeyFromSeed(seed)
		return a, nil
	}, "SELECT id, seed, cert, not_before, not_after FROM peer_authorities ORDER BY not_before, id")
}

func (t *tx) AddPeerAuthority(a peercert.Authority) error {
	return t.insert("INSERT INTO peer_authorities (id, seed, cert, not_before, not_after) VALUES ($1, $2, $3, $4, $5)",
		a.ID, a.Private.Seed(), a.Cert, micros(a.NotBefore), micros(a.NotAfter))
}

func (t *tx) DropKey(kid string) error {
	for _, table := range []string{"signing_keys", "seal_keys", "peer_authorities"} {
		if err := t.insert("DELETE FROM "+table+" WHERE id = $1", kid); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) PutRevocation(key string, r bus.Revocation) error {
	return t.insert(`INSERT INTO revocations (key, code, at, until) VALUES ($1, $2, $3, $4)
		ON CONFLICT (key) DO UPDATE SET code = excluded.code, at = excluded.at, until = excluded.until`,
		key, r.Code, micros(r.At), micros(r.Until))
}

func (t *tx) Revocations() (map[string]bus.Revocation, error) {
	type row struct {
		key string
		bus.Revocation
	}
	rows, err := all(t, func(r scanner) (x row, err error) {
		err = r.Scan(&x.key, &x.Code, stamp{&x.At}, stamp{&x.Until})
		return x, err
	}, "SELECT key, code, at, until FROM revocations")
	if err != nil {
		return nil, err
	}
	out := make(map[string]bus.Revocation, len(rows))
	for _, x := range rows {
		out[x.key] = x.Revocation
	}
	return out, nil
}

func (t *tx) DropRevocationsBefore(now time.Time) (int, error) {
	return t.exec("DELETE FROM revocations WHERE until < $1", micros(now))
}

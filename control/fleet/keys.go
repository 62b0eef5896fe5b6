package fleet

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/fault"
	"trunkline/internal/token"
)

const (
	// keyAhead is how long a key is known to the relays before it signs.
	keyAhead   = time.Minute
	keysEvery  = 20 * time.Second
	busTimeout = 5 * time.Second
)

// keyring is all keys that have not been retired. It is not changed once made.
type keyring struct {
	signing []token.SigningKey
	seal    []token.SealKey
}

// rotation decides what is due: a new key of a kind when the newest has been
// active for its time, the end of those that nothing valid can name any more.
func (k keyring) rotation(now time.Time) (newSigning, newSeal bool, drop []string) {
	newSigning, newSeal = true, true
	for _, s := range k.signing {
		if now.After(s.NotAfter) {
			drop = append(drop, s.ID)
		} else if now.Before(s.NotBefore.Add(token.PassKeyActive)) {
			newSigning = false
		}
	}
	for _, s := range k.seal {
		if now.After(s.NotAfter) {
			drop = append(drop, s.ID)
		} else if now.Before(s.NotBefore.Add(token.SealKeyActive)) {
			newSeal = false
		}
	}
	return newSigning, newSeal, drop
}

// signer is the newest key that the relays have had time to learn and that
// outlives a pass signed now; if there is none, the newest.
func (k keyring) signer(now time.Time) (token.SigningKey, bool) {
	var best, newest token.SigningKey
	for _, s := range k.signing {
		if s.NotBefore.After(newest.NotBefore) {
			newest = s
		}
		known := !now.Before(s.NotBefore.Add(keyAhead))
		if known && !s.NotAfter.Before(now.Add(token.PassLife)) && s.NotBefore.After(best.NotBefore) {
			best = s
		}
	}
	if best.ID == "" {
		best = newest
	}
	return best, best.ID != ""
}

func (k keyring) published() (pass []token.PassKey, seal []token.SealKey) {
	for _, s := range k.signing {
		pass = append(pass, s.Verifier())
	}
	return pass, k.seal
}

// signer is the key to sign with now, made if there is none yet.
func (f *Fleet) signer(ctx context.Context, now time.Time) (token.SigningKey, error) {
	k := f.keys.Load()
	if k == nil {
		if err := f.rotateKeys(ctx); err != nil {
			return token.SigningKey{}, err
		}
		k = f.keys.Load()
	}
	s, ok := k.signer(now)
	if !ok {
		return token.SigningKey{}, fault.New(fault.Unavailable, "There is no key to sign with at the moment. Try again shortly.").After(keysEvery)
	}
	return s, nil
}

// rotateKeys does what is due, in the database, where other replicas see it,
// and publishes the keys if they are others than before.
func (f *Fleet) rotateKeys(ctx context.Context) error {
	now := f.clock()
	var ring keyring
	err := f.tx(ctx, "rotate keys", func(tx Tx) (err error) {
		ring, err = rotateIn(tx, now)
		return err
	})
	if err != nil {
		return err
	}
	old := f.keys.Swap(&ring)
	if old != nil && old.same(ring) {
		return nil
	}
	pass, seal := ring.published()
	ctx, cancel := context.WithTimeout(ctx, busTimeout)
	defer cancel()
	if err := f.opts.PublishKeys(ctx, pass, seal); err != nil {
		f.log.Warn("keys not published yet, trying on", zap.Error(err))
		f.republishSoon()
	}
	return nil
}

func rotateIn(tx Tx, now time.Time) (keyring, error) {
	ring, err := readKeys(tx)
	if err != nil {
		return keyring{}, err
	}
	newSigning, newSeal, drop := ring.rotation(now)
	if newSigning {
		if err := tx.AddSigningKey(token.NewSigningKey(now)); err != nil {
			return keyring{}, err
		}
	}
	if newSeal {
		if err := tx.AddSealKey(token.NewSealKey(now)); err != nil {
			return keyring{}, err
		}
	}
	for _, kid := range drop {
		if err := tx.DropKey(kid); err != nil {
			return keyring{}, err
		}
	}
	return readKeys(tx)
}

func readKeys(tx Tx) (k keyring, err error) {
	if k.signing, err = tx.SigningKeys(); err != nil {
		return keyring{}, err
	}
	k.seal, err = tx.SealKeys()
	return k, err
}

func (k keyring) same(o keyring) bool {
	return slices.EqualFunc(k.signing, o.signing, func(a, b token.SigningKey) bool { return a.ID == b.ID }) &&
		slices.EqualFunc(k.seal, o.seal, func(a, b token.SealKey) bool { return a.ID == b.ID })
}

// ForgottenKeys are those of ids, of keys that were read from the bus, that the
// database does not have (any more). A key is in the database before it is on
// the bus.
func (f *Fleet) ForgottenKeys(ctx context.Context, ids []string) (gone []string, err error) {
	var ring keyring
	err = f.view(ctx, "read keys", func(tx Tx) (err error) {
		ring, err = readKeys(tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool)
	for _, k := range ring.signing {
		known[k.ID] = true
	}
	for _, k := range ring.seal {
		known[k.ID] = true
	}
	return slices.DeleteFunc(slices.Clone(ids), func(kid string) bool { return known[kid] }), nil
}

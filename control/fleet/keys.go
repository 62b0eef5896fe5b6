package fleet

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/fault"
	"trunkline/internal/peercert"
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
	peer    []peercert.Authority
}

// Published is what relays have to know of the keys.
type Published struct {
	Pass []token.PassKey
	Seal []token.SealKey
	Peer []peercert.Root
}

// due is what a rotation has to do.
type due struct {
	signing, seal, peer bool // a new one
	drop                []string
}

// rotation decides what is due: a new key of a kind when the newest has been
// active for its time, the end of those that nothing valid can name any more.
func (k keyring) rotation(now time.Time) due {
	d := due{signing: true, seal: true, peer: true}
	look := func(fresh *bool, id string, from, to time.Time, active time.Duration) {
		if now.After(to) {
			d.drop = append(d.drop, id)
		} else if now.Before(from.Add(active)) {
			*fresh = false
		}
	}
	for _, s := range k.signing {
		look(&d.signing, s.ID, s.NotBefore, s.NotAfter, token.PassKeyActive)
	}
	for _, s := range k.seal {
		look(&d.seal, s.ID, s.NotBefore, s.NotAfter, token.SealKeyActive)
	}
	for _, a := range k.peer {
		look(&d.peer, a.ID, a.NotBefore, a.NotAfter, peercert.AuthorityActive)
	}
	return d
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

func (k keyring) published() Published {
	p := Published{Seal: k.seal}
	for _, s := range k.signing {
		p.Pass = append(p.Pass, s.Verifier())
	}
	for _, a := range k.peer {
		p.Peer = append(p.Peer, a.Root())
	}
	return p
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

// rotateKeys does what is due, and publishes the keys if they are others than
// before, with all that the bus has to know before it has keys: it may be empty.
func (f *Fleet) rotateKeys(ctx context.Context) error {
	changed, err := f.loadKeys(ctx)
	if err != nil || !changed {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, busTimeout)
	defer cancel()
	if err := f.republish(ctx); err != nil {
		f.log.Warn("keys not published yet, trying on", zap.Error(err))
		f.republishSoon()
	}
	return nil
}

// loadKeys does what is due in the database, where other replicas see it, and has
// the keys from there.
func (f *Fleet) loadKeys(ctx context.Context) (changed bool, err error) {
	now := f.clock()
	var ring keyring
	err = f.tx(ctx, "rotate keys", func(tx Tx) (err error) {
		ring, err = rotateIn(tx, now)
		return err
	})
	if err != nil {
		return false, err
	}
	old := f.keys.Swap(&ring)
	return old == nil || !old.same(ring), nil
}

func rotateIn(tx Tx, now time.Time) (keyring, error) {
	ring, err := readKeys(tx)
	if err != nil {
		return keyring{}, err
	}
	due := ring.rotation(now)
	if due.signing {
		if err := tx.AddSigningKey(token.NewSigningKey(now)); err != nil {
			return keyring{}, err
		}
	}
	if due.seal {
		if err := tx.AddSealKey(token.NewSealKey(now)); err != nil {
			return keyring{}, err
		}
	}
	if due.peer {
		if err := tx.AddPeerAuthority(peercert.NewAuthority(now)); err != nil {
			return keyring{}, err
		}
	}
	for _, kid := range due.drop {
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
	if k.seal, err = tx.SealKeys(); err != nil {
		return keyring{}, err
	}
	k.peer, err = tx.PeerAuthorities()
	return k, err
}

func (k keyring) same(o keyring) bool {
	return slices.EqualFunc(k.signing, o.signing, func(a, b token.SigningKey) bool { return a.ID == b.ID }) &&
		slices.EqualFunc(k.seal, o.seal, func(a, b token.SealKey) bool { return a.ID == b.ID }) &&
		slices.EqualFunc(k.peer, o.peer, func(a, b peercert.Authority) bool { return a.ID == b.ID })
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
	for _, a := range ring.peer {
		known[a.ID] = true
	}
	return slices.DeleteFunc(slices.Clone(ids), func(kid string) bool { return known[kid] }), nil
}

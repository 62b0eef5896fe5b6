package fleet

import (
	"context"
	"errors"

	"trunkline/internal/bus"
	"trunkline/internal/token"
)

// Republish puts on the bus what it must know and may have lost: the keys,
// the revocations and the handovers that are still open. If it errs, Run goes
// on trying.
//
// A handover that was used in the very moment the bus was lost can come back
// unused. Its secret has been posted to the site by then, and is good for
// what is left of its minute.
func (f *Fleet) Republish(ctx context.Context) error {
	err := f.republish(ctx)
	outcome := outcomeOK
	if err != nil {
		outcome = "error"
		f.republishSoon()
	}
	f.metrics.republishes.WithLabelValues(outcome).Inc()
	return err
}

func (f *Fleet) republish(ctx context.Context) error {
	if f.keys.Load() == nil {
		// Without keys the relays can admit nobody: make the first ones.
		if _, err := f.loadKeys(ctx); err != nil {
			return err
		}
	}
	known, err := f.knownToBus(ctx)
	if err != nil {
		return err
	}
	// Before the handovers and the keys: a revoked visit must not come back to life,
	// and a relay that has just started admits whom it can as soon as it has keys.
	for key, r := range known.revocations {
		if err := f.opts.Revoke(ctx, key, r); err != nil {
			return err
		}
	}
	if err := f.opts.PublishKeys(ctx, known.keys.published()); err != nil {
		return err
	}
	for hash, v := range known.handovers {
		h := bus.Handover{Visit: v, Expires: v.Started.Add(token.HandoverTTL)}
		// One that is there may have been used: it stays as it is.
		if err := f.opts.PutHandover(ctx, hash, h); err != nil && !errors.Is(err, bus.ErrExists) {
			return err
		}
	}
	return nil
}

// onBus is what the bus has to know.
type onBus struct {
	keys        keyring
	revocations map[string]bus.Revocation
	handovers   map[string]token.Visit // by hash
}

func (f *Fleet) knownToBus(ctx context.Context) (k onBus, err error) {
	since := f.clock().Add(-token.HandoverTTL)
	err = f.view(ctx, "republish", func(tx Tx) (err error) {
		if k.keys, err = readKeys(tx); err != nil {
			return err
		}
		if k.revocations, err = tx.Revocations(); err != nil {
			return err
		}
		k.handovers, err = tx.Handovers(since)
		return err
	})
	return k, err
}

// republishSoon has Run do it. It never blocks.
func (f *Fleet) republishSoon() {
	select {
	case f.stale <- struct{}{}:
	default:
	}
}

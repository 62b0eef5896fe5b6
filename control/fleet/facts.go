package fleet

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

// facts are what the agents say of their pairs, until it is worked off. Several
// control nodes hear the same; each decides on what the database has, so the
// second one to come finds nothing to do.
type facts struct {
	wake chan struct{} // something is pending; capacity 1

	mu      sync.Mutex
	pending map[id.Device]*tunnel.Standby // nil: it says that it is single
	last    map[id.Device]tunnel.Standby  // worked off or pending, of members of pairs
}

func newFacts() *facts {
	return &facts{wake: make(chan struct{}, 1), pending: make(map[id.Device]*tunnel.Standby), last: make(map[id.Device]tunnel.Standby)}
}

// heard takes what an agent's route says. It is called under the presence's
// lock, and only notes what is new.
func (f *facts) heard(d id.Device, s *tunnel.Standby) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was, known := f.last[d]
	switch {
	case s == nil && !known, s != nil && known && *s == was:
		return
	case s == nil:
		delete(f.last, d)
	default:
		f.last[d] = *s
	}
	f.pending[d] = s
	f.wakeUp()
}

// single notes a device that the database takes for a member of a pair, and
// whose agent says nothing of one.
func (f *facts) single(d id.Device) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.last[d]; !known {
		f.pending[d] = nil
		f.wakeUp()
	}
}

func (f *facts) wakeUp() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *facts) take() map[id.Device]*tunnel.Standby {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.pending
	f.pending = make(map[id.Device]*tunnel.Standby)
	return out
}

// putBack keeps what could not be worked off, unless there is newer word.
func (f *facts) putBack(d id.Device, s *tunnel.Standby) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, newer := f.pending[d]; !newer {
		f.pending[d] = s
	}
	f.wakeUp()
}

func (f *Fleet) runFacts(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.facts.wake:
		}
		failed := false
		for d, s := range f.facts.take() {
			if err := f.applyFacts(ctx, d, s); err != nil {
				failed = true
				f.facts.putBack(d, s)
				f.complain(ctx, "hot-standby facts", err)
			}
		}
		if failed && !pause(ctx, republishRetry) {
			return
		}
	}
}

// applyFacts takes one PBX's word on its pair.
func (f *Fleet) applyFacts(ctx context.Context, device id.Device, s *tunnel.Standby) error {
	now := f.clock()
	var out settled
	err := f.tx(ctx, "hot-standby facts", func(tx Tx) error {
		out = settled{}
		d, err := tx.Device(device)
		if noRow(err) || err == nil && d.Site == "" {
			return nil
		}
		if err != nil {
			return err
		}
		h := HotStandby{}
		if s != nil {
			h = HotStandby{Enabled: true, Type: s.Type, Role: s.Role, Peer: s.Peer, Claim: s.Claim}
		}
		was := d.HotStandby
		if h == was || h.Enabled && was.Enabled && h.Claim < was.Claim {
			return nil // known, or late
		}
		if h.Enabled && h.Peer == d.Serial {
			return nil // its own peer: a mistake in its configuration
		}
		d.HotStandby = h
		if err := tx.UpdateDevice(d); err != nil {
			return err
		}
		out, err = f.settlePair(tx, d, h.Enabled != was.Enabled || h.Peer != was.Peer, now)
		out.changed = append(out.changed, d.ID)
		return err
	})
	if err != nil {
		return err
	}
	f.tellPair(ctx, out)
	return nil
}

// tellPair carries a committed change of a pair to the relays and the watchers.
func (f *Fleet) tellPair(ctx context.Context, out settled) {
	for _, m := range out.moves {
		f.revoked(ctx, deviceKey(m.device), m.r)
		f.log.Info("passes void: the site or its connection is another one", zap.String("device", string(m.device)))
	}
	if len(out.moves) > 0 {
		f.freed() // two that became one
	}
	for _, d := range out.changed {
		f.changed(d)
	}
}

const pairBatch = 50

// sweepPairs parts pairs that were not named back in time, and gives free
// connections to who waits for one.
func (f *Fleet) sweepPairs(ctx context.Context) error {
	now := f.clock()
	var late []Device
	err := f.view(ctx, "read late pairs", func(tx Tx) (err error) {
		late, err = tx.UnnamedSince(now.Add(-nameBack), pairBatch)
		return err
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range late {
		errs = append(errs, f.partLate(ctx, d.ID, now))
	}
	return errors.Join(errors.Join(errs...), f.promote(ctx, now))
}

func (f *Fleet) partLate(ctx context.Context, device id.Device, now time.Time) error {
	var out settled
	err := f.tx(ctx, "part a pair", func(tx Tx) error {
		out = settled{}
		d, err := tx.Device(device)
		if noRow(err) || err == nil && !d.late(now) {
			return nil // another control node was faster
		}
		if err != nil {
			return err
		}
		out, err = f.settlePair(tx, d, false, now)
		return err
	})
	if err == nil {
		f.tellPair(ctx, out)
	}
	return err
}

// freed has who waits for a connection looked after at once: there may be one.
func (f *Fleet) freed() {
	select {
	case f.free <- struct{}{}:
	default:
	}
}

// findSingles looks for devices that were members of a pair when this process
// began, and whose agents say nothing of one now.
func (f *Fleet) findSingles(ctx context.Context) error {
	var ids []id.Device
	err := f.view(ctx, "read members of pairs", func(tx Tx) (err error) {
		ids, err = tx.StandbyDevices()
		return err
	})
	for _, d := range f.presence.singles(ids) {
		f.facts.single(d)
	}
	return err
}

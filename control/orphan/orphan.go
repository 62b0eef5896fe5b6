// Package orphan takes routes off the bus whose relay does not come back. A relay takes
// down itself what an earlier life of it left there; one that was removed for good has
// nobody to speak for it, and its routes would say for ever that its tunnels are up.
//
// It does not say who is connected: routes of a relay without a lease count for nothing
// anyhow. Any number of control nodes may do this at a time.
package orphan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/bus"
	"trunkline/internal/id"
)

const (
	// after is how long a relay has to be without a lease, at every look.
	after     = time.Hour
	lookEvery = time.Minute
	// fresh is how old the knowledge of all leases may be: while the bus answers it
	// is 4 s at most.
	fresh = 10 * time.Second
	// readTime bounds the reading of all routes.
	readTime = 5 * time.Minute
	// pace is between two deletions, each of which every relay is told of: 50,000
	// take five minutes or more.
	pace = 5 * time.Millisecond
)

// Options say what Routes sees.
type Options struct {
	Bus  *bus.Bus
	Live func() map[id.Relay]bool // the relays that have a lease
	// Known is when all leases were known last, zero if they never were.
	Known func() time.Time
	Log   *zap.Logger
}

// Routes looks after the routes of relays that are gone.
type Routes struct {
	o      Options
	routes *bus.Bucket[json.RawMessage]

	mu    sync.Mutex
	named map[id.Relay]struct{} // of whom there may be routes on the bus

	gone   map[id.Relay]time.Time // since when looks found no lease; Run's alone
	looked time.Time              // Run's alone
}

func New(o Options) *Routes {
	return &Routes{
		o: o, routes: bus.NewBucket[json.RawMessage](o.Bus, bus.Routes),
		named: make(map[id.Relay]struct{}), gone: make(map[id.Relay]time.Time),
	}
}

// Name says that there is a route of r on the bus.
func (r *Routes) Name(relay id.Relay) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.named[relay] = struct{}{}
}

// Run looks until ctx ends.
func (r *Routes) Run(ctx context.Context) error {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		if err := r.step(ctx, time.Now()); err != nil && ctx.Err() == nil {
			r.o.Log.Warn("will try again", zap.String("what", "take down routes of relays that are gone"), zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
}

func (r *Routes) step(ctx context.Context, now time.Time) error {
	lost := r.look(now)
	if len(lost) == 0 {
		return nil
	}
	began := time.Now()
	r.forget(lost) // who is named from here on is looked at again
	n, err := r.takeDown(ctx, lost)
	for _, relay := range lost {
		if err != nil {
			r.Name(relay)
		} else {
			delete(r.gone, relay)
		}
	}
	r.looked = r.looked.Add(time.Since(began)) // the next look is not late for this
	if n > 0 {
		r.o.Log.Info("routes of relays that have been gone for an hour are taken off the bus", zap.Any("relays", lost), zap.Int("routes", n))
	}
	return err
}

// look says which relays have been without a lease at every look of an hour. Where
// leases cannot be seen, or nobody looked, their absence proves nothing: the hour
// begins anew.
func (r *Routes) look(now time.Time) (lost []id.Relay) {
	if now.Sub(r.looked) > 2*lookEvery {
		clear(r.gone)
	}
	r.looked = now
	if now.Sub(r.o.Known()) > fresh {
		clear(r.gone)
		return nil
	}
	live := r.o.Live()
	r.mu.Lock()
	defer r.mu.Unlock()
	for relay := range r.named {
		since, missed := r.gone[relay]
		switch {
		case live[relay]:
			delete(r.gone, relay)
		case !missed:
			r.gone[relay] = now
		case now.Sub(since) >= after:
			lost = append(lost, relay)
		}
	}
	return lost
}

func (r *Routes) forget(lost []id.Relay) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, relay := range lost {
		delete(r.named, relay)
	}
}

// takeDown deletes the routes of relays that are lost, as they were read: a relay that
// is back meanwhile, or another control node, loses nothing by it. A relay that was cut
// off with its tunnels announces them again when it reads the bus without them.
func (r *Routes) takeDown(ctx context.Context, lost []id.Relay) (n int, err error) {
	left, err := r.read(ctx, lost)
	if err != nil {
		return 0, err
	}
	for key, rev := range left {
		if relay, _, _ := bus.SplitRouteKey(key); r.o.Live()[relay] {
			continue // it sees to its routes itself
		}
		switch err := r.routes.DeleteAt(ctx, key, rev); {
		case err == nil:
			n++
		case !errors.Is(err, bus.ErrConflict):
			return n, err
		}
		select {
		case <-time.After(pace):
		case <-ctx.Done():
			return n, ctx.Err()
		}
	}
	return n, nil
}

// read is the keys of the routes of some relays, with their revisions.
func (r *Routes) read(ctx context.Context, of []id.Relay) (map[string]uint64, error) {
	ctx, stop := context.WithTimeout(ctx, readTime)
	defer stop()
	left, whole := make(map[string]uint64), false
	err := r.routes.Watch(ctx, func(e bus.Event[json.RawMessage]) {
		switch e.Kind {
		case bus.Reset:
			clear(left)
			whole = false
		case bus.Put:
			if relay, _, ok := bus.SplitRouteKey(e.Key); ok && slices.Contains(of, relay) {
				left[e.Key] = e.Rev
			}
		case bus.Delete:
			delete(left, e.Key)
		case bus.Synced:
			whole = true
			stop()
		}
	})
	if err == nil && !whole {
		err = context.DeadlineExceeded
	}
	if err != nil {
		return nil, fmt.Errorf("read routes: %w", err)
	}
	return left, nil
}

package route

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

const (
	// keepDown is how long the reason of a lost tunnel stays on the bus. By
	// then control has long written it to SQL.
	keepDown    = 10 * time.Minute
	putTimeout  = 3 * time.Second
	retryWithin = time.Second
	// atATime is how many words are under way to the bus: a relay that has all of
	// its tunnels to tell of does not wait for each.
	atATime = 32
)

// Announcer puts this relay's routes on the bus. It holds at most one pending
// word per device, so an absent bus costs memory only for what changed, and
// what is sent at last is the newest.
type Announcer struct {
	routes *bus.Bucket[bus.Route]
	table  *Table
	log    *zap.Logger
	wake   chan struct{}

	mu      sync.Mutex
	own     map[id.Device]struct{}  // those of whose routes in the table we stand for, up or lately down
	pending map[id.Device]struct{}  // of own, or gone from it: to be sent
	expiry  map[id.Device]time.Time // when a Down is withdrawn
}

func NewAnnouncer(b *bus.Bus, table *Table, log *zap.Logger) *Announcer {
	return &Announcer{
		routes: bus.NewBucket[bus.Route](b, bus.Routes), table: table, log: log,
		wake: make(chan struct{}, 1), own: make(map[id.Device]struct{}),
		pending: make(map[id.Device]struct{}), expiry: make(map[id.Device]time.Time),
	}
}

// Set announces a route, up or down.
func (a *Announcer) Set(r bus.Route) {
	a.mu.Lock()
	a.table.SetOwn(r)
	a.own[r.Device], a.pending[r.Device] = struct{}{}, struct{}{}
	if delete(a.expiry, r.Device); r.Down != "" {
		a.expiry[r.Device] = time.Now().Add(keepDown)
	}
	a.mu.Unlock()
	a.nudge()
}

// Withdraw takes a route back: the device is somebody else's now.
func (a *Announcer) Withdraw(d id.Device) {
	a.mu.Lock()
	a.withdrawLocked(d)
	a.mu.Unlock()
	a.nudge()
}

func (a *Announcer) withdrawLocked(d id.Device) {
	a.table.DropOwn(d)
	delete(a.own, d)
	delete(a.expiry, d)
	a.pending[d] = struct{}{}
}

// Refill announces again what the bucket came back without. Only that: a word
// that is repeated is the newest, and would end the newer tunnel of a device
// that moved while this relay was cut off.
func (a *Announcer) Refill() {
	lacking := a.table.Lacking()
	a.mu.Lock()
	for _, d := range lacking {
		if _, ok := a.own[d]; ok {
			a.pending[d] = struct{}{}
		}
	}
	a.mu.Unlock()
	a.nudge()
}

// Repeat says again what the present word on a device is, which may be none.
func (a *Announcer) Repeat(d id.Device) {
	a.mu.Lock()
	a.pending[d] = struct{}{}
	a.mu.Unlock()
	a.nudge()
}

// Disown takes down the routes that an earlier life of this relay left on the
// bus when it was killed: nobody else may write them.
func (a *Announcer) Disown(now time.Time) {
	for _, r := range a.table.Own() {
		a.mu.Lock()
		_, mine := a.own[r.Device]
		a.mu.Unlock()
		if mine {
			continue
		}
		if r.Down == "" {
			r.Down, r.Since = fault.RelayLost, now.UTC()
		}
		a.Set(r)
	}
}

// Pending is how many words the bus has not heard yet.
func (a *Announcer) Pending() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.pending)
}

func (a *Announcer) nudge() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Run sends until ctx ends.
func (a *Announcer) Run(ctx context.Context) error {
	sweep := time.NewTicker(time.Minute)
	defer sweep.Stop()
	for {
		if err := a.flush(ctx); err != nil && ctx.Err() == nil {
			a.log.Debug("route not announced, trying again", zap.Error(err))
			select {
			case <-time.After(rand.N(retryWithin)):
				continue
			case <-ctx.Done():
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-a.wake:
		case now := <-sweep.C:
			a.expire(now)
		}
	}
}

// Flush sends what is pending, once; a relay that stops says goodbye with it.
func (a *Announcer) Flush(ctx context.Context) error { return a.flush(ctx) }

func (a *Announcer) flush(ctx context.Context) error {
	for {
		words := a.next()
		if len(words) == 0 {
			return nil
		}
		var g errgroup.Group // what fails keeps nothing else from being said
		for _, w := range words {
			g.Go(func() error { return a.send(ctx, w) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
}

// pendingWord is a device with the route to be put, or nil if that is to be deleted.
type pendingWord struct {
	device id.Device
	route  *bus.Route
}

func (a *Announcer) send(ctx context.Context, w pendingWord) error {
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	var err error
	if w.route != nil {
		_, err = a.routes.Put(ctx, bus.RouteKey(w.route.Relay, w.device), *w.route)
	} else {
		err = a.routes.Delete(ctx, bus.RouteKey(a.table.self, w.device))
	}
	if err != nil {
		a.mu.Lock()
		a.pending[w.device] = struct{}{}
		a.mu.Unlock()
	}
	return err
}

// next takes some words to be sent at a time, each of another device: what is said
// of one is said in order.
func (a *Announcer) next() (words []pendingWord) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for d := range a.pending {
		delete(a.pending, d)
		w := pendingWord{device: d}
		if _, ok := a.own[d]; ok {
			r, _ := a.table.Said(d)
			w.route = &r
		}
		if words = append(words, w); len(words) == atATime {
			return words
		}
	}
	a.pending = make(map[id.Device]struct{}) // one that was large does not shrink
	return words
}

func (a *Announcer) expire(now time.Time) {
	// In one go: a device that comes back meanwhile must not lose its new route.
	a.mu.Lock()
	defer a.mu.Unlock()
	for d, at := range a.expiry {
		if now.After(at) {
			a.withdrawLocked(d)
		}
	}
	a.nudge()
}

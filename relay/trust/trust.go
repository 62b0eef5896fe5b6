// Package trust is the one place of a relay that admits a tunnel or a browser.
// It decides offline, from signing keys, sealing keys and revocations that it
// learns over the bus and keeps when the bus is away; only redeeming a handover
// needs the bus.
//
// It is not the place of rules: who may activate or visit what is control's
// business, and a pass or a visit is its answer.
package trust

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/peercert"
	"trunkline/internal/token"
	"trunkline/internal/tunnel"
)

// Options wires a Trust. Fields are needed unless they say otherwise.
type Options struct {
	Bus *bus.Bus
	// DeviceRevoked is told of a device whose passes issued until at are void.
	DeviceRevoked func(device id.Device, at time.Time, cause *fault.Error)
	// Sealing is told, newest first, which keys seal and open visits, when that
	// changes; may be nil.
	Sealing func([]token.SealKey)
	// Peers is told whose certificates of other relays are believed, when that
	// changes; may be nil.
	Peers func([]peercert.Root)
	// VisitRevoked is told of a visit that control has ended, also if this relay does
	// not serve it; it must not block, and may be nil.
	VisitRevoked func(id.Visit, fault.Code)
	// Elsewhere asks the other relays for how long a visit has been idle with them;
	// less than limit is enough to know. False if none serves it. nil: there are none.
	Elsewhere func(ctx context.Context, v id.Visit, limit time.Duration) (idle time.Duration, ok bool)
	// Report takes a visit's opening or end; it must not block.
	Report     func(bus.VisitEvent)
	Relay      id.Relay
	Log        *zap.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time // time.Now if nil
}

// Trust is safe for concurrent use.
type Trust struct {
	o         Options
	keys      atomic.Pointer[keyring] // replaced as a whole, so that a reader needs no lock
	opened    *opened                 // cookies seen lately
	handovers *bus.Bucket[bus.Handover]
	metrics   *metrics
	began     time.Time     // what instants are counted from
	told      atomic.Bool   // of all revocations, once
	allTold   chan struct{} // closed then
	leave     chan struct{} // some are leaving
	asking    singleflight.Group

	mu          sync.Mutex
	revocations map[string]revoked   // by the bucket's key
	seats       map[id.Visit]*seat   // visits this relay has seen lately
	leaving     []id.Visit           // whose key was withdrawn
	unknown     map[id.Visit]instant // asked for, and served by nobody
}

func New(o Options) *Trust {
	if o.Now == nil {
		o.Now = time.Now
	}
	t := &Trust{
		o:           o,
		handovers:   bus.NewBucket[bus.Handover](o.Bus, bus.Handovers),
		metrics:     newMetrics(o.Registerer),
		opened:      newOpened(),
		leave:       make(chan struct{}, 1),
		allTold:     make(chan struct{}),
		revocations: make(map[string]revoked), began: o.Now(),
		seats: make(map[id.Visit]*seat), unknown: make(map[id.Visit]instant),
	}
	t.keys.Store(&keyring{})
	return t
}

// Run follows the bus until ctx ends.
func (t *Trust) Run(ctx context.Context) error {
	g, life := errgroup.WithContext(ctx)
	g.Go(func() error {
		// Keys that are on the bus after revocations were read are not older than
		// these, for where revocations were lost the keys are taken from it first.
		select {
		case <-t.allTold:
			return t.watchKeys(life)
		case <-life.Done():
			return nil
		}
	})
	g.Go(func() error {
		return bus.NewBucket[bus.Revocation](t.o.Bus, bus.Revocations).Watch(life, t.applyRevocation)
	})
	g.Go(func() error { return t.sweepSeats(life) })
	g.Go(func() error { return t.endWithdrawn(life) })
	err := g.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Ready says whether tunnels and visits can be admitted at all: who does not know yet
// what was revoked lets nobody in.
func (t *Trust) Ready() error {
	if !t.told.Load() {
		return fault.New(fault.NotReady, "not all revocations from the bus yet")
	}
	k := t.keys.Load()
	if len(k.pass) == 0 || len(k.seal) == 0 {
		return fault.New(fault.NotReady, "no keys from control yet")
	}
	return nil
}

func justStarted() error {
	return fault.New(fault.NotReady, "This relay has just started. Try again shortly.").After(2 * time.Second)
}

// AdmitTunnel is the door of tunnels: a pass signed by control, neither
// expired nor revoked, and a proof, over this connection's exporter, by the
// key the pass is bound to. Errors are faults.
func (t *Trust) AdmitTunnel(pass string, exporter, proof []byte) (token.Pass, error) {
	if t.Ready() != nil {
		return token.Pass{}, justStarted()
	}
	p, err := token.VerifyPass(pass, t.keys.Load().passKey, t.o.Now())
	if err != nil {
		return token.Pass{}, err
	}
	if !tunnel.VerifyProof(p.Key, exporter, pass, proof) {
		return token.Pass{}, fault.New(fault.ProofInvalid, "The hello is not signed by the device's key for this connection.")
	}
	if f := t.Revoked(p.Device, p.Issued); f != nil {
		return token.Pass{}, f
	}
	return p, nil
}

// Revoked says why a pass of device, issued then, is void; nil if it is not.
func (t *Trust) Revoked(device id.Device, issued time.Time) *fault.Error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r, ok := t.revocations["device."+string(device)]; ok && issued.UnixMicro() <= r.at {
		return fault.New(r.code, "%s", fault.Reason(r.code))
	}
	return nil
}

// Refresh checks a renewed pass that came over an admitted tunnel of device.
func (t *Trust) Refresh(pass string, device id.Device) (token.Pass, error) {
	p, err := token.VerifyPass(pass, t.keys.Load().passKey, t.o.Now())
	if err == nil && p.Device != device {
		p, err = token.Pass{}, fault.New(fault.PassInvalid, "The pass is another device's.")
	}
	return p, err
}

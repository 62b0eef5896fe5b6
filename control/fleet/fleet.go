package fleet

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"trunkline/control/license"
	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/trace"
	"trunkline/internal/tunnel"
)

// Options are what a Fleet is made of. Store, License and Zone must be set,
// and the three funcs that reach the relays; the rest has a default.
type Options struct {
	Store      Store
	Log        *zap.Logger
	Now        func() time.Time
	Registerer prometheus.Registerer

	// License gives the licence that the configuration has; it is asked each
	// time. One that was installed, and that LicenseKey verifies, can outrank it.
	License    func() license.License
	LicenseKey ed25519.PublicKey // nil: none can be installed

	// A site's URL is https://<site>.<Zone><Port>; Port is "" or ":8443".
	Zone string
	Port string

	// Models are the device types accepted; nil means DefaultModels().
	Models []ModelRule
	// AllowOtherModels accepts devices of any other type, at any firmware; nil: no.
	AllowOtherModels func() bool

	// AuditKeep is how long audit entries are kept; 0, or nil: for ever.
	AuditKeep func() time.Duration

	// Throttle bounds wrong passwords; zero fields have defaults.
	Throttle Throttle

	// These reach the relays over the bus. An error means it did not happen;
	// revocations and keys are then published again until it did. PutHandover
	// must not touch a hash that is there already: it errs with bus.ErrExists.
	PutHandover func(ctx context.Context, hash string, h bus.Handover) error
	Revoke      func(ctx context.Context, key string, r bus.Revocation) error
	PublishKeys func(ctx context.Context, p Published) error

	// Announce tells the other control nodes of a device that changed, as well
	// as can be; it must not block. nil: there are none.
	Announce func(bus.DeviceNotice)

	// Wished tells the relays of another wish for where tunnels should be, as well as
	// can be; it must not block. nil: agents learn of it in their own time.
	Wished func(bus.WishNotice)

	// Traces makes a span of what begins a visit that is traced; nil: none are.
	Traces *trace.Tracer

	// Relays gives where live relays can be dialled, in the order in which the
	// device's agent is to try them: those of the region first, if that is not "".
	Relays func(d id.Device, region string) []tunnel.Place
}

// Fleet is the rules at work on a store. All methods may be called from any
// goroutine, but for the three Apply ones, which come from one.
type Fleet struct {
	opts    Options
	store   Store
	log     *zap.Logger
	now     func() time.Time
	metrics *metrics

	hasher    *hasher
	tries     *tries    // of passwords
	strangers *throttle // of audit entries for what strangers were refused
	tokenUses tokenUses
	keys      atomic.Pointer[keyring]
	stale     chan struct{} // the bus may lack something: republish; capacity 1
	free      chan struct{} // a connection may have become free; capacity 1

	node     string // among several control nodes
	presence *presence
	roster   *roster
	facts    *facts
	watchers *watchers
	orphans  atomic.Bool // devices that no relay has named are to be looked for
	flushing sync.Mutex  // one flush at a time, so that watchers see one order

	oddLicence   atomic.Int64 // when the one was installed that was last warned of
	licenceStage string       // of the last warning; watchLicence's alone
}

// New checks the options. Nothing runs until Run.
func New(o Options) (*Fleet, error) {
	switch {
	case o.Store == nil, o.License == nil, o.PutHandover == nil, o.Revoke == nil, o.PublishKeys == nil:
		return nil, errors.New("fleet: Store, License, PutHandover, Revoke and PublishKeys must be set")
	case o.Zone == "":
		return nil, errors.New("fleet: no zone")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	if o.AllowOtherModels == nil {
		o.AllowOtherModels = func() bool { return false }
	}
	if o.AuditKeep == nil {
		o.AuditKeep = func() time.Duration { return 0 }
	}
	if o.Wished == nil {
		o.Wished = func(bus.WishNotice) {}
	}
	if o.Relays == nil {
		o.Relays = func(id.Device, string) []tunnel.Place { return nil }
	}
	if o.Models == nil {
		o.Models = DefaultModels()
	}
	for _, m := range o.Models {
		if err := m.check(); err != nil {
			return nil, err
		}
	}
	if err := checkLicenseKey(o.LicenseKey); err != nil {
		return nil, err
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	known := newFacts()
	return &Fleet{
		opts: o, store: o.Store, log: o.Log.With(zap.String("part", "fleet")), now: o.Now, metrics: m,
		hasher: newHasher(), tries: newTries(o.Throttle), strangers: newThrottle(Throttle{}),
		tokenUses: tokenUses{last: make(map[id.Token]time.Time)},
		stale:     make(chan struct{}, 1), free: make(chan struct{}, 1), node: id.Ref() + id.Ref(),
		presence: newPresence(o.Now, m.devices, m.silent, known.heard), roster: newRoster(), facts: known,
		watchers: &watchers{open: m.watchers, lagged: m.watchersLagged, set: make(map[*watcher]struct{})},
	}, nil
}

// clock is now in UTC without the monotonic part, as it is stored.
func (f *Fleet) clock() time.Time { return f.now().UTC().Round(0) }

// failed turns a store's error into what a caller may be told. Faults pass.
func (f *Fleet) failed(op string, err error) error {
	var known *fault.Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, ErrNoRow):
		return fault.New(fault.NotFound, "There is no such thing, or it is not yours.")
	case errors.Is(err, ErrBadCursor):
		return fault.New(fault.Invalid, "The cursor is not one that this list gave out. Begin again without it.").In("cursor")
	case errors.Is(err, ErrUnavailable):
		// Logged here: the fault hides the cause from the one who asked.
		f.log.Error("store unavailable", zap.String("op", op), zap.Error(err))
		return fault.New(fault.Unavailable, "The database does not answer at the moment. Try again shortly.").After(5 * time.Second)
	default:
		return fmt.Errorf("%s: %w", op, err)
	}
}

package trust

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
)

const (
	// resealAfter bounds how far a cookie's Seen lags behind, and so how much
	// of the idle time a visitor can lose by moving to another relay.
	resealAfter = time.Minute
	sweepEvery  = 5 * time.Second
)

// seat is a visit that this relay serves.
type seat struct {
	visit  token.Visit
	made   time.Time    // it counts since
	seen   atomic.Int64 // instant of the last operation
	ends   instant      // whatever is done
	pace   cadence
	ended  chan struct{}
	why    atomic.Pointer[fault.Code]    // what ended it: set before ended is closed
	shown  atomic.Pointer[id.Device]     // by which device the last page was
	sealed atomic.Pointer[token.SealKey] // the newest that a cookie of it has
	guest  Guest                         // what a request is given, less its cookie

	in, out, requests atomic.Int64

	cookies struct { // guarded by mu; opened has them
		mu   sync.Mutex
		kept []string
	}
}

// Guest is an admitted browser.
type Guest struct {
	Visit  token.Visit
	Cookie string            // if not "", the visit's cookie, sealed anew
	Ended  <-chan struct{}   // closed when the visit is over
	Why    func() fault.Code // what ended it, once it is over
	Count  func(in, out int64)
	// Busy says that what a person began goes on: a long transfer is no
	// idleness. It is nil for what a page does by itself.
	Busy func()
	// Spoke judges one more message of an upgraded connection, as AdmitVisit
	// judges a request.
	Spoke func(key uint64)
	// Served notes which device shows the visitor a page, and says which one did
	// before; nil if the visit is to one device and does not follow the pair's
	// active one.
	Served func(id.Device) (before id.Device)
}

// AdmitVisit is the door of browsers: a cookie sealed by us, for this site,
// neither ended nor revoked. What a person does keeps the visit from being
// idle; what the page does by itself does not (see cadence). Errors are faults.
//
// It does not keep cookie, which may be a part of a buffer.
func (t *Trust) AdmitVisit(cookie string, site id.Site, a Activity, key uint64) (Guest, error) {
	now := t.o.Now()
	ring := t.keys.Load()
	v, s, known := t.opened.find(cookie, ring, t.instant(now))
	if !known {
		var err error
		if v, s, err = t.openVisit(cookie, ring, site, now); err != nil {
			return Guest{}, err
		}
	}
	if v.Site != site {
		return Guest{}, otherSite()
	}
	s.requests.Add(1)
	g := s.guest
	if s.pace.operation(a, key, now) {
		s.sawAt(t.instant(now))
	} else {
		g.Busy = nil
	}
	if seen := t.wall(instant(s.seen.Load()), now); seen.Sub(v.Seen) > resealAfter {
		v.Seen = seen
		if key, ok := ring.sealer(now); ok {
			var err error
			if g.Cookie, err = token.SealVisit(key, v); err != nil {
				return Guest{}, err
			}
			s.sealedBy(key)
		}
	}
	return g, nil
}

func otherSite() error {
	return fault.New(fault.VisitWrongSite, "Your visit is to another PBX. Open this one from the console.")
}

// openVisit opens a cookie that was not seen lately, and remembers it.
func (t *Trust) openVisit(cookie string, ring *keyring, site id.Site, now time.Time) (token.Visit, *seat, error) {
	if !t.told.Load() {
		return token.Visit{}, nil, justStarted()
	}
	cookie = strings.Clone(cookie)
	v, err := token.OpenVisit(cookie, ring.sealKey, now)
	if err != nil && v.ID == "" {
		if f := t.goneVisit(cookie, ring, site, now); f != nil {
			return v, nil, f
		}
		return v, nil, err
	}
	if v.Site != site {
		return v, nil, otherSite()
	}
	// The cookie's Seen lags; what this relay saw itself counts more.
	if err != nil && !t.aliveHere(v, now) {
		if f := t.endOf(v.ID); f != nil {
			return v, nil, f
		}
		return v, nil, err // and no seat: it would be reported as ended, though another relay may serve it
	}
	s, f := t.seat(v)
	if f != nil {
		return v, nil, f
	}
	if k, ok := ring.sealKey(kidOf(cookie)); ok {
		s.sealedBy(k)
		if f := t.knows(s, k.ID); f != nil {
			return v, nil, f
		}
	}
	if now.Round(0).Sub(v.Seen) >= -token.Leeway {
		s.sawAt(t.instantOf(v.Seen, now)) // at another relay
	}
	if c := s.overdue(t.instant(now)); c != "" { // whatever the clock on the wall says now
		return v, nil, fault.Over(c)
	}
	t.opened.keep(cookie, v, s)
	return v, s, nil
}

// Redeem takes a handover, once, on its site. Errors are faults.
func (t *Trust) Redeem(ctx context.Context, handover string, site id.Site, remote netip.Addr) (Guest, error) {
	g, v, err := t.redeem(ctx, handover, site)
	e := bus.VisitEvent{Visit: v.ID, Relay: t.o.Relay, Kind: "opened", At: t.o.Now().UTC(), Remote: remote.String(), Trace: v.Trace}
	if err != nil {
		e.Kind, e.Code = "handover_refused", fault.CodeOf(err)
		t.metrics.handovers.WithLabelValues(string(e.Code)).Inc()
	} else {
		t.metrics.handovers.WithLabelValues("ok").Inc()
	}
	if v.ID != "" {
		t.o.Report(e)
	}
	return g, err
}

func (t *Trust) redeem(ctx context.Context, handover string, site id.Site) (Guest, token.Visit, error) {
	hash, err := token.HandoverHash(handover)
	if err != nil {
		return Guest{}, token.Visit{}, err
	}
	h, rev, err := t.handovers.Get(ctx, hash)
	switch {
	case errors.Is(err, bus.ErrNotFound):
		return Guest{}, token.Visit{}, fault.New(fault.HandoverInvalid, "This link is unknown or older than a minute. Go back to the console and click Visit again.")
	case err != nil:
		return Guest{}, token.Visit{}, fault.New(fault.Unavailable, "New visits cannot be opened at the moment; those that are open go on. Try again shortly.").After(5 * time.Second)
	case h.Used:
		return Guest{}, h.Visit, usedHandover()
	case isOld(h, t.o.Now()):
		return Guest{}, h.Visit, fault.New(fault.HandoverInvalid, "This link is older than a minute. Go back to the console and click Visit again.")
	case h.Visit.Site != site:
		return Guest{}, h.Visit, fault.New(fault.VisitWrongSite, "This link opens another PBX.")
	}
	if _, ok := t.keys.Load().sealer(t.o.Now()); !ok || !t.told.Load() { // before the handover is used up
		return Guest{}, h.Visit, justStarted()
	}
	h.Used = true
	if _, err := t.handovers.Update(ctx, hash, h, rev); errors.Is(err, bus.ErrConflict) {
		return Guest{}, h.Visit, usedHandover()
	} else if err != nil {
		return Guest{}, h.Visit, fault.New(fault.Unavailable, "The visit could not be opened. Try again shortly.").After(5 * time.Second)
	}
	return t.open(h.Visit)
}

// isOld reports whether a handover is past its time. One that is on the bus is two minutes
// old at most: where it is older than that by the clocks, of control and of this machine,
// one of them was set, and which one cannot be told.
func isOld(h bus.Handover, now time.Time) bool {
	over := now.Sub(h.Expires)
	return over > 0 && over <= bus.HandoverTTL || over > token.Astray
}

// open seats a visit whose handover was just redeemed.
func (t *Trust) open(v token.Visit) (Guest, token.Visit, error) {
	now := t.o.Now()
	v.Seen = now.UTC()
	key, ok := t.keys.Load().sealer(now)
	if !ok {
		return Guest{}, v, justStarted()
	}
	cookie, err := token.SealVisit(key, v)
	if err != nil {
		return Guest{}, v, err
	}
	s, f := t.seat(v)
	if f != nil {
		return Guest{}, v, f
	}
	s.sealedBy(key)
	if f := t.knows(s, key.ID); f != nil {
		return Guest{}, v, f
	}
	g := s.guest
	g.Cookie = cookie
	return g, v, nil
}

func usedHandover() error {
	return fault.New(fault.HandoverUsed, "This link was used already. Go back to the console and click Visit again.")
}

// aliveHere reports whether this relay knows that v is not over.
func (t *Trust) aliveHere(v token.Visit, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.seats[v.ID]
	return ok && s.overdue(t.instant(now)) == ""
}

// End ends a visit here: its visitor signed out, or the PBX's staff will it.
func (t *Trust) End(v id.Visit, code fault.Code) {
	t.endIf(v, func(*seat) (fault.Code, bool) { return code, true })
}

// endIf ends a visit here if there is a reason.
func (t *Trust) endIf(v id.Visit, why func(*seat) (fault.Code, bool)) {
	t.mu.Lock()
	s, ok := t.seats[v]
	var code fault.Code
	if ok {
		code, ok = why(s)
	}
	if ok {
		delete(t.seats, v)
		s.end(code)
		t.opened.forget(s) // after that: who still opens a cookie of it sees that it is over
		// Until control's own revocation arrives, the cookie must not open it again. One
		// of a visit that was idle opens nothing by itself, and a newer one says that it
		// was busy elsewhere.
		if code != fault.VisitIdle {
			t.revokeLocked("visit."+string(v), bus.Revocation{Code: code, At: t.o.Now(), Until: s.visit.Expires})
		}
	}
	t.metrics.visits.Set(float64(len(t.seats)))
	t.mu.Unlock()
	if ok {
		t.o.Report(s.event(t, code))
	}
}

func (s *seat) event(t *Trust, code fault.Code) bus.VisitEvent {
	return bus.VisitEvent{
		Visit: s.visit.ID, Relay: t.o.Relay, Kind: "ended", Code: code, At: t.o.Now().UTC(),
		Since: s.made, BytesIn: s.in.Load(), BytesOut: s.out.Load(), Requests: s.requests.Load(),
	}
}

// ReportTraffic tells what the visits here have sent and got so far: they go on at other
// relays, and this one is about to end.
func (t *Trust) ReportTraffic() {
	t.mu.Lock()
	all := slices.Collect(maps.Values(t.seats))
	t.mu.Unlock()
	for _, s := range all {
		if s.requests.Load() > 0 {
			e := s.event(t, "")
			e.Kind = "traffic"
			t.o.Report(e)
		}
	}
}

// sweepSeats ends visits that are idle or past their time, and forgets
// revocations of what has expired by itself.
func (t *Trust) sweepSeats(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			t.endOverdue(ctx)
		}
	}
}

// endOverdue ends what is over. What is idle here may be busy at another relay, and is
// looked at again once that was asked: it may be busy here by then.
func (t *Trust) endOverdue(ctx context.Context) {
	all := t.overdue()
	for v, code := range all {
		if code != fault.VisitIdle || t.o.Elsewhere == nil {
			t.endIf(v, t.overdueNow)
			delete(all, v)
		}
	}
	var asking errgroup.Group
	asking.SetLimit(maxAsking)
	for v := range all {
		asking.Go(func() error {
			t.lookElsewhere(ctx, v)
			if ctx.Err() == nil { // without its links this relay knows of no other
				t.endIf(v, t.overdueNow)
			}
			return nil
		})
	}
	_ = asking.Wait()
}

func (t *Trust) overdueNow(s *seat) (fault.Code, bool) {
	code := s.overdue(t.instant(t.o.Now()))
	return code, code != ""
}

// overdue are the visits whose time is over, and which time.
func (t *Trust) overdue() map[id.Visit]fault.Code {
	now := t.instant(t.o.Now())
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, r := range t.revocations {
		if now > r.until {
			delete(t.revocations, k)
		}
	}
	maps.DeleteFunc(t.unknown, func(_ id.Visit, at instant) bool { return now-at > instant(askAgain) })
	out := make(map[id.Visit]fault.Code)
	for v, s := range t.seats {
		if c := s.overdue(now); c != "" {
			out[v] = c
		}
	}
	return out
}

// applyRevocation keeps revocations over the loss of the bucket: they only
// ever expire.
func (t *Trust) applyRevocation(e bus.Event[bus.Revocation]) {
	if e.Kind == bus.Synced && t.told.CompareAndSwap(false, true) {
		close(t.allTold)
	}
	if e.Kind != bus.Put {
		return
	}
	kind, name, _ := strings.Cut(e.Key, ".")
	if kind == "visit" {
		e.Value.Code = cmp.Or(e.Value.Code, fault.VisitEnded) // without one nobody could be told
	}
	t.mu.Lock()
	t.revokeLocked(e.Key, e.Value)
	t.mu.Unlock()
	switch kind {
	case "visit":
		if t.o.VisitRevoked != nil { // first: other relays have it from control too
			t.o.VisitRevoked(id.Visit(name), e.Value.Code)
		}
		t.End(id.Visit(name), e.Value.Code)
	case "device":
		t.o.DeviceRevoked(id.Device(name), e.Value.At, fault.New(e.Value.Code, "%s", fault.Reason(e.Value.Code)))
	}
}

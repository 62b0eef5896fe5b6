package trust_test

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"

	"trunkline/internal/bus"
	"trunkline/internal/clocktest"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
	"trunkline/internal/tunnel"
	"trunkline/relay/trust"
)

// world is a Trust on a real embedded bus, with control's part played here.
type world struct {
	*trust.Trust
	t    *testing.T
	bus  *bus.Bus
	pass token.SigningKey
	seal token.SealKey

	mu      sync.Mutex
	offset  time.Duration // of the Trust's clock
	wall    time.Duration // by which its time of day was set, besides
	reports []bus.VisitEvent
	revoked []id.Device
	over    []id.Visit                 // as control said
	idle    map[id.Visit]time.Duration // at other relays
	asked   int
}

func newWorld(t *testing.T) *world {
	now := time.Now().Add(-time.Second)
	return newWorldOf(t, token.NewSigningKey(now), token.NewSealKey(now))
}

// beside is another relay of the same installation, as far as keys go.
func (w *world) beside() *world { return newWorldOf(w.t, w.pass, w.seal) }

func newWorldOf(t *testing.T, pass token.SigningKey, seal token.SealKey) *world {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{}, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.EnsureBuckets(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, bus: b, pass: pass, seal: seal}
	w.Trust = trust.New(trust.Options{
		Bus: b, Relay: "relay-1", Log: zaptest.NewLogger(t), Registerer: prometheus.NewRegistry(), Now: w.now,
		Report:       func(e bus.VisitEvent) { w.mu.Lock(); defer w.mu.Unlock(); w.reports = append(w.reports, e) },
		VisitRevoked: func(v id.Visit, _ fault.Code) { w.mu.Lock(); defer w.mu.Unlock(); w.over = append(w.over, v) },
		Elsewhere: func(_ context.Context, v id.Visit, _ time.Duration) (time.Duration, bool) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.asked++
			d, ok := w.idle[v]
			return d, ok
		},
		DeviceRevoked: func(d id.Device, _ time.Time, _ *fault.Error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.revoked = append(w.revoked, d)
		},
	})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil && !errors.Is(err, bus.ErrClosed) { // one test takes the bus away
			t.Errorf("Run: %v", err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	put(t, b, bus.Keys, "pass."+w.pass.ID, w.pass.Verifier())
	put(t, b, bus.Keys, "visit."+w.seal.ID, w.seal)
	w.eventually("keys", func() bool { return w.Ready() == nil })
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return clocktest.Step(time.Now().Add(w.offset), w.wall)
}

// set sets the time of day, by d from what is right.
func (w *world) set(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wall = d
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.offset += d
}

func put[T any](t *testing.T, b *bus.Bus, bucket, key string, v T) {
	t.Helper()
	if _, err := bus.NewBucket[T](b, bucket).Put(t.Context(), key, v); err != nil {
		t.Fatal(err)
	}
}

func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: not within 10 s", what)
		}
	}
}

func (w *world) newVisit() token.Visit {
	now := w.now().UTC()
	return token.Visit{
		ID: id.NewVisit(), Site: id.NewSite(), Device: id.NewDevice(), Account: id.NewAccount(), User: id.NewUser(),
		Who: "Ada", Method: token.MethodAccount, Idle: 15 * time.Minute, Started: now, Expires: now.Add(token.VisitLife), Seen: now,
	}
}

// grant is a handover as control makes it.
func (w *world) sealed(v token.Visit) string {
	w.t.Helper()
	cookie, err := token.SealVisit(w.seal, v)
	if err != nil {
		w.t.Fatal(err)
	}
	return cookie
}

func (w *world) grant(v token.Visit) (handover string) {
	w.t.Helper()
	handover, hash := token.NewHandover()
	put(w.t, w.bus, bus.Handovers, hash, bus.Handover{Visit: v, Expires: w.now().Add(token.HandoverTTL)})
	return handover
}

var browser = netip.MustParseAddr("192.0.2.7")

func (w *world) redeem(handover string, site id.Site) (trust.Guest, error) {
	return w.Redeem(w.t.Context(), handover, site, browser)
}

func want(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if fault.CodeOf(err) != code {
		t.Errorf("got %v, want %q", err, code)
	}
}

func TestTunnelDoor(t *testing.T) {
	w := newWorld(t)
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := token.Pass{ID: "p", Device: id.NewDevice(), Site: id.NewSite(), Account: id.NewAccount(), Serial: "ABCD1234",
		Key: pub, Issued: time.Now(), Expires: time.Now().Add(time.Hour)}
	raw, err := token.SignPass(w.pass, p)
	if err != nil {
		t.Fatal(err)
	}
	here, elsewhere := []byte("exporter of this connection....."), []byte("exporter of another connection..")
	got, err := w.AdmitTunnel(raw, here, tunnel.Proof(priv, here, raw))
	if err != nil || got.Device != p.Device {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = w.AdmitTunnel(raw, here, tunnel.Proof(priv, elsewhere, raw))
	want(t, err, fault.ProofInvalid)
	_, thief, _ := ed25519.GenerateKey(nil)
	_, err = w.AdmitTunnel(raw, here, tunnel.Proof(thief, here, raw))
	want(t, err, fault.ProofInvalid)

	put(t, w.bus, bus.Revocations, "device."+string(p.Device), bus.Revocation{
		Code: fault.DeviceRemoved, At: time.Now().Add(time.Second), Until: time.Now().Add(time.Hour),
	})
	w.eventually("revocation", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.revoked) == 1 && w.revoked[0] == p.Device
	})
	_, err = w.AdmitTunnel(raw, here, tunnel.Proof(priv, here, raw))
	want(t, err, fault.DeviceRemoved)
	p.Issued = time.Now().Add(2 * time.Second) // activated again
	again, err := token.SignPass(w.pass, p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.AdmitTunnel(again, here, tunnel.Proof(priv, here, again)); err != nil {
		t.Errorf("a pass issued after the revocation: %v", err)
	}
}

func TestHandoverOpensOnce(t *testing.T) {
	w := newWorld(t)
	v := w.newVisit()
	handover := w.grant(v)
	g, err := w.redeem(handover, v.Site)
	if err != nil || g.Cookie == "" || g.Visit.ID != v.ID {
		t.Fatalf("%+v, %v", g, err)
	}
	if _, err := w.AdmitVisit(g.Cookie, v.Site, trust.Person, 0); err != nil {
		t.Errorf("the cookie does not open the site: %v", err)
	}
	_, err = w.AdmitVisit(g.Cookie, id.NewSite(), trust.Person, 0)
	want(t, err, fault.VisitWrongSite)
	_, err = w.redeem(handover, v.Site)
	want(t, err, fault.HandoverUsed)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.reports) != 2 || w.reports[0].Kind != "opened" || w.reports[1].Code != fault.HandoverUsed {
		t.Errorf("control heard %+v", w.reports)
	}
}

// Many browsers race with one handover: one gets in.
func TestHandoverRace(t *testing.T) {
	w := newWorld(t)
	v := w.newVisit()
	handover := w.grant(v)
	var wg sync.WaitGroup
	results := make(chan error, 16)
	for range cap(results) {
		wg.Go(func() { _, err := w.redeem(handover, v.Site); results <- err })
	}
	wg.Wait()
	close(results)
	in := 0
	for err := range results {
		if err == nil {
			in++
		} else {
			want(t, err, fault.HandoverUsed)
		}
	}
	if in != 1 {
		t.Errorf("%d got in", in)
	}
}

func TestHandoverRefusals(t *testing.T) {
	w := newWorld(t)
	unknown, _ := token.NewHandover()
	_, err := w.redeem(unknown, id.NewSite())
	want(t, err, fault.HandoverInvalid)
	_, err = w.redeem("' OR 1=1", id.NewSite())
	want(t, err, fault.HandoverInvalid)

	v := w.newVisit()
	handover := w.grant(v)
	_, err = w.redeem(handover, id.NewSite())
	want(t, err, fault.VisitWrongSite)
	w.advance(token.HandoverTTL + time.Second)
	_, err = w.redeem(handover, v.Site)
	want(t, err, fault.HandoverInvalid)
}

func TestVisitEnds(t *testing.T) {
	w := newWorld(t)
	type ending struct {
		code, shown fault.Code
		end         func(v token.Visit, code fault.Code)
	}
	revoke := func(v token.Visit, code fault.Code) {
		put(t, w.bus, bus.Revocations, "visit."+string(v.ID), bus.Revocation{Code: code, At: w.now(), Until: v.Expires})
	}
	here := func(v token.Visit, code fault.Code) { w.End(v.ID, code) }
	rows := map[string]ending{
		"here, as no visitor is told":       {fault.LoginFailed, fault.VisitEnded, here},
		"for a reason of a newer control":   {"visit_ended_by_the_moon", fault.VisitEnded, revoke},
		"without a reason, by an older one": {"", fault.VisitEnded, revoke},
	}
	for _, code := range fault.Endings() {
		rows["revoked by control: "+string(code)] = ending{code, code, revoke}
		if code != fault.VisitIdle { // which is no end while a cookie says otherwise
			rows["here: "+string(code)] = ending{code, code, here}
		}
	}
	for name, x := range rows {
		v := w.newVisit()
		g, err := w.redeem(w.grant(v), v.Site)
		if err != nil {
			t.Fatal(err)
		}
		if c := g.Why(); c != "" {
			t.Errorf("%s: it was over before, for %q", name, c)
		}
		x.end(v, x.code)
		select {
		case <-g.Ended:
		case <-time.After(30 * time.Second):
			t.Fatalf("%s: what runs was not told", name)
		}
		if c := g.Why(); c != cmp.Or(x.code, fault.VisitEnded) {
			t.Errorf("%s: what runs is told %q", name, c)
		}
		if _, err = w.AdmitVisit(g.Cookie, v.Site, trust.Person, 0); fault.CodeOf(err) != x.shown {
			t.Errorf("%s: its tab is told %v", name, err)
		}
	}
}

// Who comes back to a visit's tab late is told what ended it, and not that it
// has been idle since.
func TestWhatEndedAVisitStaysTold(t *testing.T) {
	w := newWorld(t)
	v := w.newVisit()
	g, err := w.redeem(w.grant(v), v.Site)
	if err != nil {
		t.Fatal(err)
	}
	w.End(v.ID, fault.AccessWithdrawn)
	w.advance(v.Idle + time.Minute)
	_, err = w.AdmitVisit(g.Cookie, v.Site, trust.Person, 0)
	want(t, err, fault.AccessWithdrawn)
}

// What ended by itself is reported by the reason.
func TestReportsOfEnds(t *testing.T) {
	f := func(advance func(v token.Visit) time.Duration, code fault.Code) {
		t.Helper()
		w := newWorld(t)
		v := w.newVisit()
		v.Idle = token.VisitLife * 2
		if code == fault.VisitIdle {
			v.Idle = 15 * time.Minute
		}
		if _, err := w.redeem(w.grant(v), v.Site); err != nil {
			t.Fatal(err)
		}
		w.advance(advance(v))
		w.Sweep()
		if e := w.reports[len(w.reports)-1]; e.Kind != "ended" || e.Code != code {
			t.Errorf("reported: %+v, want %s", e, code)
		}
	}
	f(func(v token.Visit) time.Duration { return v.Idle + time.Second }, fault.VisitIdle)
	f(func(v token.Visit) time.Duration { return token.VisitLife + time.Second }, fault.VisitExpired)
}

// Idle time counts from the last request, also where the cookie lags behind.
func TestIdle(t *testing.T) {
	w := newWorld(t)
	v := w.newVisit()
	g, err := w.redeem(w.grant(v), v.Site)
	if err != nil {
		t.Fatal(err)
	}
	cookie := g.Cookie
	for range 3 {
		w.advance(10 * time.Minute)
		g, err := w.AdmitVisit(cookie, v.Site, trust.Person, 0) // the first cookie: the browser missed the new ones
		if err != nil {
			t.Fatalf("in use, and yet: %v", err)
		}
		if g.Cookie == "" {
			t.Error("the cookie was not sealed anew")
		}
	}
	w.advance(16 * time.Minute)
	_, err = w.AdmitVisit(cookie, v.Site, trust.Person, 0)
	want(t, err, fault.VisitIdle)
}

// Keys outlive the bus: what was signed before stays good.
func TestVisitsGoOnWithoutTheBus(t *testing.T) {
	w := newWorld(t)
	v := w.newVisit()
	g, err := w.redeem(w.grant(v), v.Site)
	if err != nil {
		t.Fatal(err)
	}
	other := w.grant(w.newVisit())
	if err := w.bus.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.AdmitVisit(g.Cookie, v.Site, trust.Person, 0); err != nil {
		t.Errorf("open visit: %v", err)
	}
	_, err = w.redeem(other, v.Site)
	want(t, err, fault.Unavailable)
}

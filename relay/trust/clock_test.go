package trust_test

import (
	"crypto/ed25519"
	"testing"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
	"trunkline/internal/tunnel"
	"trunkline/relay/trust"
)

// steps are what may happen to a clock: a time zone is a whole hour off.
var steps = map[string]time.Duration{"an hour ahead": time.Hour, "an hour back": -time.Hour}

// A visit that is open does not notice that the relay's clock is set: it is idle
// when nobody operated it for its idle time, neither before nor after.
func TestAStepNeitherEndsNorProlongsAVisit(t *testing.T) {
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			v := visits(t)
			v.advance(10 * time.Minute)
			v.set(step)
			if _, err := v.ask(trust.Person, 0); err != nil {
				t.Fatalf("in use, and yet: %v", err)
			}
			v.advance(v.visit.Idle - time.Second)
			if _, err := v.AdmitVisit(v.cookie, v.visit.Site, trust.Passive, 0); err != nil {
				t.Fatalf("not idle yet, and yet: %v", err)
			}
			v.advance(2 * time.Second)
			_, err := v.ask(trust.Person, 0)
			want(t, err, fault.VisitIdle)
		})
	}
}

// Nor does it keep anybody out if a clock was set between control, which may be the one
// that is wrong, and the relay; links still end, and what is a day off is refused.
func TestAStepKeepsNoVisitFromOpening(t *testing.T) {
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			v := w.newVisit()
			h := w.grant(v)
			w.set(step)
			g, err := w.redeem(h, v.Site)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.AdmitVisit(g.Cookie, v.Site, trust.Person, 0); err != nil {
				t.Error(err)
			}
			late := w.newVisit()
			h = w.grant(late)
			w.advance(token.HandoverTTL + time.Minute)
			_, err = w.redeem(h, late.Site)
			want(t, err, fault.HandoverInvalid)
			far := w.newVisit()
			h = w.grant(far)
			w.set(24 * time.Hour)
			_, err = w.redeem(h, far.Site)
			want(t, err, fault.HandoverInvalid)
		})
	}
}

// Nor does the end that a visit has whatever is done move.
func TestAStepDoesNotMoveAVisitsEnd(t *testing.T) {
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			v := visits(t)
			v.set(step)
			began := v.now()
			for v.now().Sub(began) < token.VisitLife-time.Minute {
				v.advance(10 * time.Minute)
				if v.now().Sub(began) >= token.VisitLife {
					break
				}
				if _, err := v.ask(trust.Person, 0); err != nil {
					t.Fatalf("after %v: %v", v.now().Sub(began), err)
				}
			}
			v.advance(2 * time.Minute)
			_, err := v.ask(trust.Person, 0)
			want(t, err, fault.VisitExpired)
		})
	}
}

// A visit that comes first to a relay whose clock is ahead is over there if it has
// been idle, or is near its end, for its time less the step; nobody else is told
// so, and where it was it goes on.
func TestAVisitComesToARelayThatIsAhead(t *testing.T) {
	v := visits(t)
	ahead := v.beside()
	ahead.set(time.Hour)
	_, err := ahead.AdmitVisit(v.cookie, v.visit.Site, trust.Person, 0)
	want(t, err, fault.VisitIdle)
	if len(ahead.reports) != 0 {
		t.Errorf("it was reported: %+v", ahead.reports)
	}
	if _, err := v.ask(trust.Person, 0); err != nil {
		t.Errorf("where it was: %v", err)
	}

	long := v.newVisit()
	long.Idle = 2 * time.Hour
	cookie := v.sealed(long)
	comes := func(after time.Duration) error {
		_, err := ahead.AdmitVisit(cookie, long.Site, trust.Passive, 0)
		if err != nil {
			return err
		}
		ahead.advance(after)
		_, err = ahead.AdmitVisit(cookie, long.Site, trust.Passive, 0)
		return err
	}
	if err := comes(59 * time.Minute); err != nil {
		t.Errorf("idle for less than its time: %v", err)
	}
	want(t, comes(2*time.Minute), fault.VisitIdle)
	last := v.newVisit()
	last.Expires = v.now().Add(time.Hour - time.Minute)
	_, err = ahead.AdmitVisit(v.sealed(last), last.Site, trust.Person, 0)
	want(t, err, fault.VisitExpired)
}

// At one whose clock is behind it may be idle as long as ever, and ends later by
// the step.
func TestAVisitComesToARelayThatIsBehind(t *testing.T) {
	v := visits(t)
	behind := v.beside()
	behind.set(-time.Hour)
	cookie := v.cookie
	ask := func(a trust.Activity) error {
		g, err := behind.AdmitVisit(cookie, v.visit.Site, a, 0)
		if g.Cookie != "" {
			cookie = g.Cookie
		}
		return err
	}
	began := behind.now()
	for behind.now().Sub(began) < token.VisitLife+59*time.Minute {
		if err := ask(trust.Person); err != nil {
			t.Fatalf("after %v: %v", behind.now().Sub(began), err)
		}
		behind.advance(10 * time.Minute)
	}
	behind.advance(2 * time.Minute)
	want(t, ask(trust.Person), fault.VisitExpired)

	idle := v.beside()
	idle.set(-time.Hour)
	cookie = v.cookie
	for _, after := range []time.Duration{0, v.visit.Idle - time.Minute} {
		idle.advance(after)
		if _, err := idle.AdmitVisit(cookie, v.visit.Site, trust.Passive, 0); err != nil {
			t.Errorf("idle for %v: %v", after, err)
		}
	}
	idle.advance(2 * time.Minute)
	_, err := idle.AdmitVisit(cookie, v.visit.Site, trust.Passive, 0)
	want(t, err, fault.VisitIdle)
}

// A visit can be opened while a clock is behind that of whoever made the keys, as
// when all clocks of an installation that is minutes old are set back; and what was
// sealed then holds when they are right again.
func TestAVisitOpensBeforeItsKeyIsInForce(t *testing.T) {
	for _, back := range []time.Duration{time.Hour, 365 * 24 * time.Hour} {
		w := newWorld(t)
		w.set(-back)
		v := w.newVisit()
		g, err := w.redeem(w.grant(v), v.Site)
		if err != nil {
			t.Errorf("%v behind: %v", back, err)
			continue
		}
		if _, err := w.AdmitVisit(g.Cookie, v.Site, trust.Person, 0); err != nil {
			t.Errorf("%v behind, its cookie: %v", back, err)
		}
	}
}

// What was ended stays ended when a clock that was ahead is set right again.
func TestAStepForgetsNoRevocation(t *testing.T) {
	w := newWorld(t)
	v := w.newVisit()
	v.Expires = v.Started.Add(time.Hour)
	g, err := w.redeem(w.grant(v), v.Site)
	if err != nil {
		t.Fatal(err)
	}
	put(t, w.bus, bus.Revocations, "visit."+string(v.ID), bus.Revocation{Code: fault.VisitEnded, At: v.Started, Until: v.Expires})
	select {
	case <-g.Ended:
	case <-time.After(30 * time.Second):
		t.Fatal("the revocation did not arrive")
	}
	w.set(90 * time.Minute) // by this clock nothing has to be remembered any more
	w.Sweep()
	w.set(0)
	_, err = w.AdmitVisit(g.Cookie, v.Site, trust.Person, 0)
	want(t, err, fault.VisitEnded)
}

// A device with a pass comes in whoever's clock was set by an hour; and its pass
// ends by the relay's clock, so at most an hour late.
func TestAStepKeepsNoDeviceOut(t *testing.T) {
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	exporter := []byte("exporter of this connection.....")
	admit := func(w *world, issued time.Time) error {
		t.Helper()
		raw, err := token.SignPass(w.pass, token.Pass{
			ID: "p", Device: id.NewDevice(), Site: id.NewSite(), Account: id.NewAccount(), Serial: "ABCD1234",
			Key: pub, Issued: issued, Expires: issued.Add(token.PassLife),
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.AdmitTunnel(raw, exporter, tunnel.Proof(priv, exporter, raw))
		return err
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			now := w.now()
			if err := admit(w, now.Add(step)); err != nil {
				t.Errorf("control's clock: %v", err)
			}
			w.set(step)
			if err := admit(w, now); err != nil {
				t.Errorf("the relay's clock: %v", err)
			}
			late := token.PassLife + token.Leeway + time.Second
			if step < 0 {
				late -= step
			}
			w.advance(late)
			want(t, admit(w, now), fault.PassExpired)
		})
	}
}

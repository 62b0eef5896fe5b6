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
			want(t, err, fault.VisitEnded)
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
			want(t, err, fault.VisitEnded)
		})
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

package trust_test

import (
	"testing"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
	"trunkline/relay/trust"
)

// What a visit has open ends when control withdraws the key of its cookies, as
// after a restore; visits of another key go on, and so does one whose cookie was
// sealed anew.
func TestVisitsEndWithTheirKey(t *testing.T) {
	w := newWorld(t)
	open := func() (token.Visit, trust.Guest) {
		t.Helper()
		v := w.newVisit()
		g, err := w.redeem(w.grant(v), v.Site)
		if err != nil {
			t.Fatal(err)
		}
		return v, g
	}
	keys := bus.NewBucket[token.SealKey](w.bus, bus.Keys)
	var old []trust.Guest
	const many = 60 // more than end at once
	for range many {
		_, g := open()
		old = append(old, g)
	}
	anew, resealed := open()
	next := token.NewSealKey(w.now())
	put(t, w.bus, bus.Keys, "visit."+next.ID, next)
	w.eventually("the next key seals", func() bool {
		v := w.newVisit()
		g, err := w.redeem(w.grant(v), v.Site)
		return err == nil && g.Cookie[:len(next.ID)] == next.ID
	})
	later, after := open()
	w.advance(2 * time.Minute)
	g, err := w.AdmitVisit(resealed.Cookie, anew.Site, trust.Person, 0)
	if err != nil || g.Cookie == "" {
		t.Fatalf("not sealed anew: %v", err)
	}

	if err := keys.Delete(t.Context(), "visit."+w.seal.ID); err != nil {
		t.Fatal(err)
	}
	for _, o := range old {
		select {
		case <-o.Ended:
		case <-time.After(30 * time.Second):
			t.Fatal("what an old visit has open goes on")
		}
		if c := o.Why(); c != fault.Restored {
			t.Errorf("ended for %q", c)
		}
		if _, err := w.AdmitVisit(o.Cookie, o.Visit.Site, trust.Person, 0); fault.CodeOf(err) != fault.Restored {
			t.Errorf("its tab: %v", err)
		}
	}
	for _, x := range []struct {
		v      token.Visit
		cookie string
	}{{later, after.Cookie}, {anew, g.Cookie}} {
		if _, err := w.AdmitVisit(x.cookie, x.v.Site, trust.Person, 0); err != nil {
			t.Errorf("one of the other key: %v", err)
		}
	}
	for _, x := range []trust.Guest{after, resealed} {
		if c := x.Why(); c != "" {
			t.Errorf("one of the other key ended for %q", c)
		}
	}
	reported := make(map[id.Visit]int)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.reports {
		if e.Kind == "ended" && e.Code == fault.Restored {
			reported[e.Visit]++
		}
	}
	for _, o := range old {
		if n := reported[o.Visit.ID]; n != 1 {
			t.Errorf("an old visit's end is reported %d times", n)
		}
	}
}

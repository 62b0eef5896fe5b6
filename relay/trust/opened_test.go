package trust_test

import (
	"fmt"
	"testing"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/token"
	"trunkline/relay/trust"
)

// A cookie that was let in is remembered, and let in only as long as a fresh
// look would.
func TestRememberedCookie(t *testing.T) {
	f := func(name string, code fault.Code, change func(w *world, v token.Visit)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			v := w.newVisit()
			cookie := w.sealed(v)
			for range 2 {
				if _, err := w.AdmitVisit(cookie, v.Site, trust.Person, 0); err != nil {
					t.Fatal(err)
				}
			}
			_, err := w.AdmitVisit(cookie, "another", trust.Person, 0)
			want(t, err, fault.VisitWrongSite)
			change(w, v)
			_, err = w.AdmitVisit(cookie, v.Site, trust.Person, 0)
			want(t, err, code)
		})
	}
	f("visit ended", fault.VisitEnded, func(w *world, v token.Visit) { w.End(v.ID, fault.VisitEnded) })
	f("idle", fault.VisitIdle, func(w *world, v token.Visit) { w.advance(v.Idle + time.Second) })
	f("too old", fault.VisitExpired, func(w *world, v token.Visit) { w.advance(v.Expires.Sub(w.now()) + time.Second) })
	f("key withdrawn", fault.Restored, func(w *world, v token.Visit) {
		if err := bus.NewBucket[token.SealKey](w.bus, bus.Keys).Delete(t.Context(), "visit."+w.seal.ID); err != nil {
			t.Fatal(err)
		}
		w.eventually("no key", func() bool { return w.Ready() != nil })
	})
}

// A browser that brings ever new cookies of its visit costs no memory.
func TestRememberedCookiesAreFew(t *testing.T) {
	w := newWorld(t)
	v := w.newVisit()
	for i := range 20 {
		v.Who = fmt.Sprint(i)
		if _, err := w.AdmitVisit(w.sealed(v), v.Site, trust.Person, 0); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.Remembered(); n != trust.KeptCookies {
		t.Errorf("%d cookies of one visit are remembered", n)
	}
	w.End(v.ID, fault.VisitEnded)
	if n := w.Remembered(); n != 0 {
		t.Errorf("%d cookies of an ended visit are remembered", n)
	}
}

func TestRememberedCookieAllocatesNothing(t *testing.T) {
	w := newWorld(t)
	v := w.newVisit()
	cookie := w.sealed(v)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := w.AdmitVisit(cookie, v.Site, trust.Person, 0); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

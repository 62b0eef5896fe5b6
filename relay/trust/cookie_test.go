package trust_test

import (
	"testing"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/token"
	"trunkline/relay/trust"
)

// A cookie that is too old here says nothing of the visit elsewhere: it is not
// to be reported as ended.
func TestOldCookieEndsNoVisit(t *testing.T) {
	w := newWorld(t)
	v := w.newVisit()
	v.Seen = v.Seen.Add(-20 * time.Minute)
	cookie, err := token.SealVisit(w.seal, v)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.AdmitVisit(cookie, v.Site, trust.Person, 0)
	want(t, err, fault.VisitIdle)

	v.Seen = w.now() // by the relay that serves the visit
	if cookie, err = token.SealVisit(w.seal, v); err != nil {
		t.Fatal(err)
	}
	time.Sleep(6 * time.Second) // the sweep has gone by
	if _, err := w.AdmitVisit(cookie, v.Site, trust.Person, 0); err != nil {
		t.Errorf("the visit goes on elsewhere, and yet: %v", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.reports) != 0 {
		t.Errorf("reported: %+v", w.reports)
	}
}

// A new key of a control whose clock is ahead seals all the same.
func TestSealKeyFromTheFuture(t *testing.T) {
	w := newWorld(t)
	w.advance(-time.Minute)
	v := w.newVisit()
	if _, err := w.redeem(w.grant(v), v.Site); err != nil {
		t.Error(err)
	}
}

// While there is no key to seal with, a handover is not used up.
func TestHandoverOutlivesAMissingKey(t *testing.T) {
	w := newWorld(t)
	v := w.newVisit()
	handover := w.grant(v)
	if err := bus.NewBucket[token.SealKey](w.bus, bus.Keys).Delete(t.Context(), "visit."+w.seal.ID); err != nil {
		t.Fatal(err)
	}
	w.eventually("no key", func() bool { return w.Ready() != nil })
	_, err := w.redeem(handover, v.Site)
	want(t, err, fault.NotReady)
	put(t, w.bus, bus.Keys, "visit."+w.seal.ID, w.seal)
	w.eventually("keys", func() bool { return w.Ready() == nil })
	if _, err := w.redeem(handover, v.Site); err != nil {
		t.Error(err)
	}
}

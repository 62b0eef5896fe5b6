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

func (w *world) idleElsewhere(v id.Visit, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idle = map[id.Visit]time.Duration{v: d}
}

// A visit whose visitor is busy at another relay is not idle here, and is when it is
// there.
func TestAVisitIsNotIdleThatIsBusyElsewhere(t *testing.T) {
	w := newWorld(t)
	v := w.newVisit()
	g, err := w.redeem(w.grant(v), v.Site)
	if err != nil {
		t.Fatal(err)
	}
	w.idleElsewhere(v.ID, time.Minute)
	w.advance(v.Idle + time.Second)
	w.Sweep()
	if idle, ok := w.Seen(v.ID); !ok || idle < time.Minute || idle > 2*time.Minute || g.Why() != "" {
		t.Errorf("idle for %v here, served %v, ended for %q", idle, ok, g.Why())
	}
	w.idleElsewhere(v.ID, v.Idle+time.Second)
	w.advance(v.Idle)
	w.Sweep()
	if _, ok := w.Seen(v.ID); ok || g.Why() != fault.VisitIdle {
		t.Errorf("idle everywhere: served %v, ended for %q", ok, g.Why())
	}
}

// A relay where a visit was idle takes it back from one where it was busy.
func TestAVisitComesBackToWhereItWasIdle(t *testing.T) {
	w := newWorld(t)
	v := w.newVisit()
	if _, err := w.redeem(w.grant(v), v.Site); err != nil {
		t.Fatal(err)
	}
	w.advance(v.Idle + time.Second)
	w.Sweep()
	v.Seen = w.now() // by the other one
	cookie, err := token.SealVisit(w.seal, v)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.AdmitVisit(cookie, v.Site, trust.Person, 0); err != nil {
		t.Error(err)
	}
}

// An old cookie of a visit that is busy elsewhere, by a WebSocket, is revived; one of
// a visit that is not, or was ended, is not, and others are not asked for each request.
func TestAnOldCookieIsRevived(t *testing.T) {
	w := newWorld(t)
	v := w.newVisit()
	cookie, err := token.SealVisit(w.seal, v)
	if err != nil {
		t.Fatal(err)
	}
	if w.Revive(t.Context(), cookie) || w.Revive(t.Context(), "nothing") {
		t.Error("what is not too old was revived")
	}
	w.advance(v.Idle + time.Minute)
	for range 3 {
		if w.Revive(t.Context(), cookie) {
			t.Error("revived, though nobody serves it")
		}
	}
	if w.asked != 1 {
		t.Errorf("asked %d times", w.asked)
	}
	w.advance(6 * time.Second)
	w.idleElsewhere(v.ID, v.Idle+time.Second)
	if w.Revive(t.Context(), cookie) {
		t.Error("revived, though it is idle everywhere")
	}
	w.advance(6 * time.Second)
	w.idleElsewhere(v.ID, time.Minute)
	if !w.Revive(t.Context(), cookie) {
		t.Fatal("not revived")
	}
	g, err := w.AdmitVisit(cookie, v.Site, trust.Person, 0)
	if err != nil || g.Cookie == "" {
		t.Errorf("sealed anew: %v, %v", g.Cookie != "", err)
	}
	w.End(v.ID, fault.EndedByVisitor)
	if w.Revive(t.Context(), cookie) {
		t.Error("revived, though its visitor ended it")
	}
}

// What control says of visits is told on, also of those that are not served here.
func TestRevokedVisitsAreTold(t *testing.T) {
	w := newWorld(t)
	v := w.newVisit()
	put(t, w.bus, bus.Revocations, "visit."+string(v.ID), bus.Revocation{Code: fault.EndedByStaff, At: w.now(), Until: v.Expires})
	w.eventually("it is told", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.over) == 1 && w.over[0] == v.ID
	})
}

// What its visitor, or the PBX's staff, ended at another relay opens nothing here, while
// control cannot say so: neither where it has a seat nor where its cookie comes later.
func TestWhatWasEndedElsewhereIsBarred(t *testing.T) {
	w := newWorld(t)
	seated, later := w.newVisit(), w.newVisit()
	g, err := w.redeem(w.grant(seated), seated.Site)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Ended(seated.ID); err != nil {
		t.Errorf("before: %v", err)
	}
	for _, v := range []token.Visit{seated, later} {
		w.EndedElsewhere(v.ID, fault.EndedByVisitor)
		if err := w.Ended(v.ID); fault.CodeOf(err) != fault.EndedByVisitor {
			t.Errorf("known as ended: %v", err)
		}
		if _, err := w.AdmitVisit(w.sealed(v), v.Site, trust.Person, 0); fault.CodeOf(err) != fault.EndedByVisitor {
			t.Errorf("its cookie: %v", err)
		}
	}
	if g.Why() != fault.EndedByVisitor {
		t.Errorf("what it has open: %q", g.Why())
	}
}

// A relay that is about to end tells what its visits have sent and got: they go on.
func TestTrafficIsReportedByWhoEnds(t *testing.T) {
	w := newWorld(t)
	v, unused := w.newVisit(), w.newVisit()
	g, err := w.redeem(w.grant(v), v.Site)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.redeem(w.grant(unused), unused.Site); err != nil {
		t.Fatal(err)
	}
	if _, err := w.AdmitVisit(g.Cookie, v.Site, trust.Person, 0); err != nil {
		t.Fatal(err)
	}
	g.Count(3, 4)
	w.ReportTraffic()
	w.mu.Lock()
	defer w.mu.Unlock()
	var got []bus.VisitEvent
	for _, e := range w.reports {
		if e.Kind == "traffic" {
			got = append(got, e)
		}
	}
	if len(got) != 1 || got[0].Visit != v.ID || got[0].BytesIn != 3 || got[0].BytesOut != 4 || got[0].Requests != 1 || got[0].Since.IsZero() || got[0].Code != "" {
		t.Errorf("%+v", got)
	}
	if g.Why() != "" {
		t.Errorf("ended for %q", g.Why())
	}
}

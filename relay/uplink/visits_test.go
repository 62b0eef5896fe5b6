package uplink_test

import (
	"strconv"
	"testing"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

func aVisit(who string) tunnel.Visit {
	return tunnel.Visit{ID: id.NewVisit(), Who: who, Method: "account", Started: time.Now(), Idle: time.Minute}
}

func (a *agent) hears(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-a.heard:
		if got != want {
			t.Errorf("the agent heard %q, want %q", got, want)
		}
	case <-time.After(patience):
		t.Fatalf("the agent did not hear %q", want)
	}
}

func TestVisitsAreTold(t *testing.T) {
	w := newWorld(t, nil)
	d, v := id.NewDevice(), aVisit("Ann")
	w.VisitStarted(d, v) // to nobody yet
	a := w.connect(d)
	other := w.connect(id.NewDevice())
	w.VisitStarted(d, v)
	w.VisitEnded(d, v.ID, fault.VisitEnded)
	a.hears(t, string(v.ID)+" Ann")
	a.hears(t, string(v.ID)+" over: visit_ended")
	if err := a.EndVisit(v.ID); err != nil {
		t.Fatal(err)
	}
	w.eventually("the staff's wish", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.wishes) == 1 && w.wishes[0] == string(d)+" "+string(v.ID)
	})
	if len(other.heard) != 0 {
		t.Errorf("another device heard %q", <-other.heard)
	}
}

// A tunnel that comes back hears of the visits that go on.
func TestVisitsAreToldAgain(t *testing.T) {
	w := newWorld(t, nil)
	for n := range 3 {
		w.visits = append(w.visits, aVisit(strconv.Itoa(n)))
	}
	a := w.connect(id.NewDevice())
	for n, v := range w.visits {
		a.hears(t, string(v.ID)+" "+strconv.Itoa(n))
	}
}

// However many visits come and go, the agent is not told more than it takes.
func TestManyVisitsDoNotFloodTheAgent(t *testing.T) {
	w := newWorld(t, nil)
	d := id.NewDevice()
	a := w.connect(d)
	for range 2000 {
		w.VisitStarted(d, aVisit("Ann"))
	}
	for range 24 {
		<-a.heard
	}
	// It lives, and its tunnel can be ended in the middle of it.
	if err := a.SendStatus(tunnel.Status{Logins: tunnel.Logins{Account: true}}); err != nil {
		t.Fatal(err)
	}
	w.eventually("status", func() bool { return w.route(d).Logins.Account })
	w.End(d, time.Now().Add(time.Minute), fault.New(fault.DeviceRemoved, "removed"))
	a.mustEnd(t)
}

package agent_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

func (l *fakeLink) visit(v tunnel.Visit) {
	<-l.ready
	l.handlers.OnVisit(v)
}

func (l *fakeLink) visitEnd(v id.Visit, code fault.Code) {
	<-l.ready
	l.handlers.OnVisitEnd(v, code)
}

func (l *fakeLink) endsAsked() []id.Visit {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.visitsEnded
}

func someVisit(method string) tunnel.Visit {
	return tunnel.Visit{ID: id.NewVisit(), Who: "Ann <ann@example.com>", Method: method, Started: time.Now().UTC(), Idle: 15 * time.Minute}
}

// wantVisits compares who is in now, and why those who were are not.
func (w *world) wantVisits(now []id.Visit, past ...fault.Code) {
	w.t.Helper()
	in, was := w.agent.Visits()
	if len(in) != len(now) || len(was) != len(past) {
		w.t.Fatalf("in now %+v, was %+v; want %v and %v", in, was, now, past)
	}
	for n, v := range in {
		if v.ID != now[n] || !v.To.IsZero() || v.Who == "" || v.Method == "" || v.From.IsZero() {
			w.t.Errorf("in now: %+v", v)
		}
	}
	for n, v := range was {
		if v.Code != past[n] || v.To.IsZero() {
			w.t.Errorf("was in: %+v, want %s", v, past[n])
		}
	}
}

func TestVisitsAreKeptOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.run(identity())
		synctest.Wait()
		a := someVisit("account")
		w.latest().visit(a)
		time.Sleep(time.Second)
		b := someVisit("account")
		w.latest().visit(b)
		w.latest().visit(b) // again, as after a reconnection
		w.wantVisits([]id.Visit{b.ID, a.ID})
		w.latest().visitEnd(a.ID, fault.VisitEnded)
		w.latest().visitEnd(a.ID, fault.VisitEnded)
		w.wantVisits([]id.Visit{b.ID}, fault.VisitEnded)
		w.stop()

		w.start()
		synctest.Wait()
		w.wantVisits([]id.Visit{b.ID}, fault.VisitEnded)
		time.Sleep(2 * time.Minute) // and no relay speaks of it
		w.wantVisits(nil, fault.ConnectionLost, fault.VisitEnded)
		w.latest().visit(b) // late
		w.wantVisits([]id.Visit{b.ID}, fault.VisitEnded)
		w.stop()
	})
}

func TestDamagedVisitsStopNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if err := os.WriteFile(filepath.Join(w.data, "visits.json"), []byte(`{"now":[{"id"`), 0o600); err != nil {
			t.Fatal(err)
		}
		w.run(identity())
		synctest.Wait()
		w.wantVisits(nil)
		w.stop()
	})
}

// A visit that goes on through another tunnel goes on.
func TestVisitOutlivesItsTunnel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.run(identity())
		time.Sleep(time.Hour)
		v := someVisit("account")
		w.latest().visit(v)
		w.latest().end(fault.ConnectionLost)
		time.Sleep(10 * time.Second)
		w.wantVisits([]id.Visit{v.ID})
		w.latest().visit(v)
		time.Sleep(time.Hour)
		w.wantVisits([]id.Visit{v.ID})
		w.latest().end(fault.ConnectionLost)
		time.Sleep(2 * time.Minute)
		w.wantVisits(nil, fault.ConnectionLost)
		w.stop()
	})
}

func TestEndVisit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.run(identity())
		synctest.Wait()
		v := someVisit("account")
		l := w.latest()
		l.visit(v)
		if err := w.agent.EndVisit(t.Context(), v.ID); err != nil {
			t.Fatal(err)
		}
		w.wantVisits(nil, fault.EndedByPBX)
		if asked := l.endsAsked(); len(asked) != 1 || asked[0] != v.ID {
			t.Errorf("the relay was asked to end %v", asked)
		}
		if err := w.agent.EndVisit(t.Context(), v.ID); fault.CodeOf(err) != fault.NotFound {
			t.Errorf("again: %v", err)
		}

		// Nobody gets in by it any more, and a relay that brings it up is told.
		if got := refusalOf(t, l, tunnel.Header{Service: "portal", Visit: v.ID}); got != string(fault.EndedByPBX) {
			t.Errorf("a stream got %q", got)
		}
		l.visit(v)
		w.wantVisits(nil, fault.EndedByPBX)
		if asked := l.endsAsked(); len(asked) != 2 {
			t.Errorf("the relay was asked to end %v", asked)
		}
		w.stop()
		w.start()
		synctest.Wait()
		if got := refusalOf(t, w.latest(), tunnel.Header{Service: "portal", Visit: v.ID}); got != string(fault.EndedByPBX) {
			t.Errorf("after a restart a stream got %q", got)
		}
		w.stop()
	})
}

// refusalOf opens a stream and returns what its refusal says, in JSON.
func refusalOf(t *testing.T, l *fakeLink, h tunnel.Header) string {
	t.Helper()
	here, there := net.Pipe()
	defer there.Close()
	<-l.ready
	go l.handlers.OnStream(context.WithoutCancel(t.Context()), h, here)
	b, _ := io.ReadAll(there)
	if len(b) < 3 || b[0] != 1 {
		t.Fatalf("not refused: %q", b)
	}
	return codeIn(t, b[3:])
}

func codeIn(t *testing.T, b []byte) string {
	t.Helper()
	var f struct{ Code string }
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	return f.Code
}

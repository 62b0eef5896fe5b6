package trust_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
	"trunkline/relay/trust"
)

// A relay that has just started and has its keys knows nothing of what was revoked
// before: until it does it lets nobody in. A bucket that is read anew later takes
// nothing back.
func TestNobodyIsLetInBeforeRevocationsAreKnown(t *testing.T) {
	w := newWorld(t)
	began := trust.New(trust.Options{
		Bus: w.bus, Relay: "relay-2", Log: zaptest.NewLogger(t), Registerer: prometheus.NewRegistry(),
		Report: func(bus.VisitEvent) {}, DeviceRevoked: func(id.Device, time.Time, *fault.Error) {},
	})
	began.Learn(w.pass.Verifier(), w.seal)
	ended, open := w.newVisit(), w.newVisit()
	admitted := func(v token.Visit) fault.Code {
		_, err := began.AdmitVisit(w.sealed(v), v.Site, trust.Person, 0)
		return fault.CodeOf(err)
	}
	notYet := func(when string) {
		t.Helper()
		for what, v := range map[string]token.Visit{"a visit that was ended": ended, "one that was not": open} {
			if code := admitted(v); code != fault.NotReady {
				t.Errorf("%s, %s: %q, want %s", when, what, code, fault.NotReady)
			}
		}
		if _, err := began.AdmitTunnel("", nil, nil); fault.CodeOf(err) != fault.NotReady || began.Ready() == nil {
			t.Errorf("%s: it takes tunnels, or says that it is ready", when)
		}
		handover := w.grant(open)
		if _, err := began.Redeem(t.Context(), handover, open.Site, browser); fault.CodeOf(err) != fault.NotReady {
			t.Errorf("%s: a handover: %v", when, err)
		}
		if _, err := w.Redeem(t.Context(), handover, open.Site, browser); err != nil {
			t.Errorf("%s: the handover is used up: %v", when, err)
		}
	}
	notYet("before the bus was read")
	began.Hear(bus.Event[bus.Revocation]{Kind: bus.Reset})
	began.Hear(bus.Event[bus.Revocation]{Kind: bus.Put, Key: "visit." + string(ended.ID), Value: bus.Revocation{
		Code: fault.VisitEnded, At: w.now(), Until: ended.Expires,
	}})
	notYet("while it is read")
	for _, kind := range []bus.Kind{bus.Synced, bus.Reset} {
		began.Hear(bus.Event[bus.Revocation]{Kind: kind})
		if err := began.Ready(); err != nil {
			t.Errorf("after %v: %v", kind, err)
		}
		if code := admitted(ended); code != fault.VisitEnded {
			t.Errorf("after %v, the visit that was ended: %q", kind, code)
		}
		if code := admitted(open); code != "" {
			t.Errorf("after %v, the other one: %q", kind, code)
		}
	}
}

package fleet_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

func (w *world) flush() {
	w.Helper()
	if err := w.FlushForTest(w.Context()); err != nil {
		w.Fatal(err)
	}
}

// timeline is a device's, newest first: "kind reason seconds after the start".
func (w *world) timeline(d id.Device) (out []string) {
	w.Helper()
	page, err := w.DeviceEvents(w.Context(), w.owner(), d, "", 200)
	if err != nil {
		w.Fatal(err)
	}
	for _, c := range page.Items {
		out = append(out, fmt.Sprintf("%s %s %v", c.Kind, c.Reason, c.At.Sub(start).Seconds()))
	}
	return out
}

func TestTimeline(t *testing.T) {
	w := newWorld(t)
	box := newPBX("SN-0001")
	d := w.activate(box.request()).Device
	w.wait(time.Second)
	w.activate(box.request()) // the same again is nothing new
	w.connect(d, 1)
	w.flush()
	// Other control nodes see the same.
	w.restart()
	w.connect(d, 1)
	w.flush()
	w.wait(time.Second)
	w.ApplyRoute(fleet.RouteEvent{Route: w.route(d, "r1", fault.PeerSilent), Epoch: "e1", Rev: 2})
	w.flush()
	w.wait(time.Second)
	w.activate(newPBX("SN-0001").request()) // the agent was installed anew
	w.flush()
	want := []string{"key_replaced  3", "disconnected peer_silent 2", "connected  1", "activated  0"}
	if got := w.timeline(d); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	page, err := w.DeviceEvents(t.Context(), w.owner(), d, "", 3)
	if err != nil || len(page.Items) != 3 || page.Total != 4 || page.Items[2].Detail != "relay r1, from 192.0.2.9:1000" {
		t.Errorf("%+v, %v", page, err)
	}
	page, err = w.DeviceEvents(t.Context(), w.owner(), d, page.Next, 3)
	if err != nil || len(page.Items) != 1 || page.Next != "" {
		t.Errorf("%+v, %v", page, err)
	}
	_, err = w.DeviceEvents(t.Context(), w.owner(), d, "x", 3)
	wantCode(t, err, fault.Invalid)
	w.addUser("other@example.com", fleet.RoleOwner, true)
	_, err = w.DeviceEvents(t.Context(), w.signIn("other@example.com"), d, "", 3)
	wantCode(t, err, fault.NotFound)
	_, err = w.DeviceEvents(t.Context(), fleet.Principal{}, d, "", 3)
	wantCode(t, err, fault.SignInNeeded)
}

// A device that flaps fills no database.
func TestTimelineIsBounded(t *testing.T) {
	w := newWorld(t)
	d := w.activate(newPBX("SN-0001").request()).Device
	w.tx(func(tx fleet.Tx) error {
		for i := range 2 * fleet.MaxEvents {
			c := fleet.StatusChange{At: start.Add(time.Duration(i) * time.Second), Kind: "connected"}
			if err := tx.AddDeviceEvent(d, c, fleet.MaxEvents); err != nil {
				return err
			}
		}
		return nil
	})
	page, err := w.DeviceEvents(t.Context(), w.owner(), d, "", 1)
	if err != nil || page.Total != fleet.MaxEvents {
		t.Errorf("%d, %v", page.Total, err)
	}
}

// Numbers are kept once for a quarter of an hour, and for two days.
func TestSamples(t *testing.T) {
	w := newWorld(t)
	d := w.activate(newPBX("SN-0001").request()).Device
	samples := func() []fleet.Sample {
		t.Helper()
		if err := w.SampleForTest(t.Context()); err != nil {
			t.Fatal(err)
		}
		o, err := w.Overview(t.Context(), w.owner())
		if err != nil {
			t.Fatal(err)
		}
		return o.Samples
	}
	samples()
	w.connect(d, 1)
	w.flush()
	w.wait(fleet.SampleEvery / 2)
	if got := samples(); len(got) != 1 || got[0] != (fleet.Sample{At: start.Truncate(fleet.SampleEvery), Devices: 1}) {
		t.Errorf("%+v", got)
	}
	w.wait(fleet.SampleEvery)
	if got := samples(); len(got) != 2 || got[1].Connected != 1 || got[1].At.Sub(got[0].At) != fleet.SampleEvery {
		t.Errorf("%+v", got)
	}
	w.wait(24 * time.Hour)
	if got := samples(); len(got) != 1 {
		t.Errorf("after a day %+v", got)
	}
	w.wait(49 * time.Hour)
	samples()
	account := w.owner().Account
	w.tx(func(tx fleet.Tx) error {
		all, err := tx.Samples(account, time.Time{})
		if len(all) != 1 {
			t.Errorf("kept: %+v", all)
		}
		return err
	})
}

// Old entries go, in portions; 0 keeps them for ever.
func TestAuditIsKept(t *testing.T) {
	w := newWorld(t)
	n := fleet.SweepBatch + 5
	w.tx(func(tx fleet.Tx) error {
		root, err := tx.Root()
		for i := range n {
			if err == nil {
				err = tx.AddAudit(fleet.AuditEntry{At: start.Add(time.Duration(i)), Account: root.ID, Action: "x", Outcome: "ok"})
			}
		}
		return err
	})
	left := func(want int, more bool) {
		t.Helper()
		got, err := w.SweepForTest(t.Context())
		if err != nil || got != more {
			t.Errorf("more %t, %v", got, err)
		}
		page, err := w.Audit(t.Context(), w.owner(), fleet.AuditQuery{Action: "x"})
		if err != nil || page.Total != want {
			t.Errorf("%d left, %v", page.Total, err)
		}
	}
	w.wait(400 * 24 * time.Hour)
	left(n, false)
	w.auditKeep = 400 * 24 * time.Hour
	w.restart()
	w.wait(-time.Hour)
	left(n, false)
	w.wait(2 * time.Hour)
	left(5, true)
	left(0, false)
}

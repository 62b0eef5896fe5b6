package fleet_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// There is a bound to everything that one can add, and to what one call takes.
func TestBounds(t *testing.T) {
	w := newWorld(t)
	p := w.owner()
	w.tx(func(tx fleet.Tx) error {
		for i := range fleet.MaxPending {
			d := fleet.Device{ID: id.NewDevice(), Account: p.Account, Name: "x", Created: start, Presence: fleet.Presence{Status: fleet.StatusNotActivated}}
			d.Code.Hash = fmt.Sprint("h", i)
			if err := tx.AddDevice(d); err != nil {
				return err
			}
		}
		for i := range fleet.MaxGroups {
			if err := tx.AddGroup(fleet.Group{ID: id.NewGroup(), Account: p.Account, Name: fmt.Sprint("g", i), Created: start}); err != nil {
				return err
			}
		}
		return nil
	})
	_, c, err := w.AddDevice(t.Context(), p, fleet.NewDevice{Name: "One more"})
	if wantCode(t, err, fault.LimitReached); c.Secret != "" {
		t.Error("a refused device has a code")
	}
	_, err = w.AddGroup(t.Context(), p, "One more")
	wantCode(t, err, fault.LimitReached)
	page, err := w.Devices(t.Context(), p, fleet.DeviceQuery{Limit: 1})
	if err != nil || page.Total != fleet.MaxPending || page.More {
		t.Errorf("%d, %t, %v", page.Total, page.More, err)
	}
	// A free place is one, and lists are counted no further than this.
	wantCode(t, w.RemoveDevice(t.Context(), p, page.Items[0].ID, ""), "")
	w.add("One more")
	w.activate(newPBX("SN-0001").request())
	page, err = w.Devices(t.Context(), p, fleet.DeviceQuery{Limit: 1})
	if err != nil || page.Total != fleet.MaxTotal || !page.More {
		t.Errorf("%d, %t, %v", page.Total, page.More, err)
	}
	_, err = w.RemoveDevices(t.Context(), p, make([]id.Device, 201))
	wantCode(t, err, fault.Invalid)
	wantCode(t, w.EachDevice(t.Context(), p, fleet.DeviceQuery{}, make([]id.Device, 1001), nil), fault.Invalid)
	for field, q := range map[string]fleet.DeviceQuery{
		"search": {Search: strings.Repeat("x", 101)}, "status": {Status: "x"}, "sort": {Sort: "x"}, "group": {Group: "'--"},
	} {
		_, err := w.Devices(t.Context(), p, q)
		if wantCode(t, err, fault.Invalid); fieldOf(err) != field {
			t.Errorf("%s: field %q", field, fieldOf(err))
		}
	}
	for field, q := range map[string]fleet.AuditQuery{
		"search": {Search: strings.Repeat("x", 101)}, "to": {From: start, To: start},
	} {
		_, err := w.Audit(t.Context(), p, q)
		if wantCode(t, err, fault.Invalid); fieldOf(err) != field {
			t.Errorf("%s: field %q", field, fieldOf(err))
		}
	}
}

func fieldOf(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Field
	}
	return ""
}

// Many are removed at once, each for itself: with its own entry and result.
func TestRemoveDevices(t *testing.T) {
	w := newWorld(t)
	p := w.owner()
	waits, _ := w.add("Waits")
	on := w.activate(newPBX("SN-0001").request())
	w.connect(on.Device, 1)
	v, err := w.StartVisit(t.Context(), p, fleet.VisitRequest{Device: on.Device})
	if err != nil {
		t.Fatal(err)
	}
	ids := []id.Device{waits.ID, id.NewDevice(), on.Device, on.Device}
	gone, err := w.RemoveDevices(t.Context(), p, ids)
	if err != nil || len(gone) != len(ids) {
		t.Fatalf("%+v, %v", gone, err)
	}
	for i, want := range []fault.Code{"", fault.NotFound, "", fault.NotFound} {
		if wantCode(t, gone[i].Err, want); gone[i].Device != ids[i] {
			t.Errorf("%d: %s", i, gone[i].Device)
		}
	}
	r := w.revocations()
	if r["device."+string(on.Device)].Code != fault.DeviceRemoved || r["visit."+string(v.Visit.ID)].Code != fault.DeviceRemoved {
		t.Errorf("%v", r)
	}
	log, err := w.Audit(t.Context(), p, fleet.AuditQuery{Action: fleet.ActionDeviceRemove})
	if err != nil || log.Total != len(ids) {
		t.Errorf("%d entries, %v", log.Total, err)
	}
	if s, _ := w.Subscription(t.Context(), p); s.Used != 0 {
		t.Errorf("%d connections are used", s.Used)
	}
}

// Who watches is told of what staff do, and of no other group or account.
func TestWatchersSeeEdits(t *testing.T) {
	w := newWorld(t)
	p := w.owner()
	g, err := w.AddGroup(t.Context(), p, "Secret")
	if err != nil {
		t.Fatal(err)
	}
	blind := p
	blind.Access = fleet.Access{Default: fleet.AllRights, Groups: map[id.Group]fleet.Rights{g.ID: 0}}
	events, fewer := w.Watch(t.Context(), p), w.Watch(t.Context(), blind)
	seen := func(ch <-chan fleet.DeviceEvent) (out []string) {
		w.flush()
		for len(ch) > 0 {
			e := <-ch
			out = append(out, fmt.Sprintf("%s %s %t", e.Device.Name, e.Device.Presence.Status, e.Removed))
		}
		return out
	}
	expect := func(what string, all, some []string) {
		t.Helper()
		if got := seen(events); !slices.Equal(got, all) {
			t.Errorf("%s: %q", what, got)
		}
		if got := seen(fewer); !slices.Equal(got, some) {
			t.Errorf("%s, seen by who may not see the group: %q", what, got)
		}
	}
	d, c := w.add("Acme")
	added := []string{"Acme not_activated false"}
	expect("added", added, added)
	name := "Bolt"
	if _, err := w.EditDevice(t.Context(), p, d.ID, fleet.DeviceEdit{Name: &name, Group: &g.ID}); err != nil {
		t.Fatal(err)
	}
	expect("edited", []string{"Bolt not_activated false"}, nil)
	w.activate(newPBX("SN-0001").with(c.Secret))
	expect("activated", []string{"Bolt never_connected false"}, nil)
	if _, err := w.RemoveDevices(t.Context(), p, []id.Device{d.ID}); err != nil {
		t.Fatal(err)
	}
	expect("removed", []string{"Bolt never_connected true"}, nil)
}

// Chosen devices come in the order of the list that they were chosen from.
func TestChosenInOrder(t *testing.T) {
	w := newWorld(t)
	p := w.owner()
	var ids []id.Device
	for i, name := range []string{"beta", "Alpha", "Gamma"} {
		d := w.activate(newPBX(id.Serial(fmt.Sprintf("SN-000%d", 9-i))).request()).Device
		if _, err := w.EditDevice(t.Context(), p, d, fleet.DeviceEdit{Name: &name}); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, d)
	}
	for _, sort := range []string{"", fleet.SortName, fleet.SortSerial, fleet.SortSince} {
		for _, desc := range []bool{false, true} {
			q := fleet.DeviceQuery{Sort: sort, Desc: desc}
			page, err := w.Devices(t.Context(), p, q)
			if err != nil {
				t.Fatal(err)
			}
			i := 0
			err = w.EachDevice(t.Context(), p, q, ids, func(d fleet.Device) error {
				if d.ID != page.Items[i].ID {
					t.Errorf("by %q, descending %t: %s at %d", sort, desc, d.Name, i)
				}
				i++
				return nil
			})
			if err != nil || i != 3 {
				t.Errorf("%d, %v", i, err)
			}
		}
	}
}

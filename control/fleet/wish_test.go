package fleet_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"trunkline/control/fleet"
	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// What the account wishes holds for its devices, and what is said of a device
// goes before it; a device is told with its next pass.
func TestWishOfTunnels(t *testing.T) {
	w := newWorld(t)
	anna := w.signIn(owner)
	box := newPBX("SN-0001")
	g := w.activate(box.request())
	renewed := func() fleet.Grant { return ok(w.RenewPass(t.Context(), box.renewal(g.Device)))(t) }
	first := func() string { return renewed().Relays[0] }
	second := func() int { return len(renewed().Second) }
	if first() != "r1.example.com:8443" || second() != 0 {
		t.Fatal("without a wish the order is another, or a second tunnel is wanted")
	}
	was := ok(w.Wish(t.Context(), anna))(t)
	set := ok(w.EditWish(t.Context(), anna, fleet.WishEdit{Match: was.Tag(), Region: ptr("eu"), Second: ptr(true)}))(t)
	if got := ok(w.Wish(t.Context(), anna))(t); got != set || got != (fleet.Wish{Region: "eu", Second: true}) {
		t.Errorf("the wish is %+v", got)
	}
	if first() != "r2.example.com:8443" || second() != 2 {
		t.Error("the account's wish does not hold")
	}
	_, err := w.EditWish(t.Context(), anna, fleet.WishEdit{Match: was.Tag(), Region: ptr("us")})
	wantCode(t, err, fault.Changed)

	edit := func(x fleet.DeviceEdit) { ok(w.EditDevice(t.Context(), anna, g.Device, x))(t) }
	edit(fleet.DeviceEdit{Region: ptr("us"), Second: ptr(fleet.Off)})
	if first() != "r1.example.com:8443" || second() != 0 {
		t.Error("what is said of the device does not go before the account's wish")
	}
	ok(w.EditWish(t.Context(), anna, fleet.WishEdit{Region: ptr(""), Second: ptr(false)}))(t)
	edit(fleet.DeviceEdit{Region: ptr("eu"), Second: ptr(fleet.On)})
	if first() != "r2.example.com:8443" || second() != 2 {
		t.Error("what is said of the device does not hold alone")
	}
	found := ok(w.Devices(t.Context(), anna, fleet.DeviceQuery{Search: "eu"}))(t)
	if len(found.Items) != 1 || found.Items[0].Second != fleet.On {
		t.Errorf("a search for the region finds %+v", found.Items)
	}
	log := ok(w.Audit(t.Context(), anna, fleet.AuditQuery{Action: fleet.ActionTunnelsEdit, Outcome: "ok"}))(t)
	if len(log.Items) != 2 || !strings.Contains(log.Items[1].Detail, `region "eu", was ""`) {
		t.Errorf("the audit has %+v", log.Items)
	}
}

func TestWishIsChecked(t *testing.T) {
	w := newWorld(t)
	anna := w.signIn(owner)
	g := w.activate(newPBX("SN-0001").request())
	for _, region := range []string{"EU", "a b", "-eu", strings.Repeat("e", 64)} {
		_, err := w.EditWish(t.Context(), anna, fleet.WishEdit{Region: &region})
		wantCode(t, err, fault.Invalid)
		_, err = w.EditDevice(t.Context(), anna, g.Device, fleet.DeviceEdit{Region: &region})
		wantCode(t, err, fault.Invalid)
	}
	_, err := w.EditDevice(t.Context(), anna, g.Device, fleet.DeviceEdit{Second: ptr(fleet.Override("maybe"))})
	wantCode(t, err, fault.Invalid)
}

// Agents take turns in asking for the pass that a wish is told with: as many as are
// connected, wherever, have so much longer.
func TestAWishSaysHowLongItTakes(t *testing.T) {
	w := newWorld(t)
	var told []bus.WishNotice
	w.wished = func(n bus.WishNotice) { told = append(told, n) }
	w.restart()
	anna := w.signIn(owner)
	w.SetLeases(map[id.Relay]bool{"r1": true, "r2": true})
	var all []id.Device
	for i := range 5 {
		d := w.activate(newPBX(id.Serial(fmt.Sprintf("SN-%04d", i))).request()).Device
		if all = append(all, d); i > 0 { // the first never was connected
			r := w.route(d, []id.Relay{"r1", "r2"}[i%2], "")
			r.Account = anna.Account
			w.ApplyRoute(fleet.RouteEvent{Route: r, Epoch: "e1", Rev: uint64(i)})
		}
	}
	ok(w.EditWish(t.Context(), anna, fleet.WishEdit{Second: ptr(true)}))(t)
	ok(w.EditWish(t.Context(), anna, fleet.WishEdit{Second: ptr(true)}))(t) // is so already
	ok(w.EditDevice(t.Context(), anna, all[0], fleet.DeviceEdit{Second: ptr(fleet.Off)}))(t)
	want := []bus.WishNotice{{Account: anna.Account, WithinMS: 4 * 30}, {Account: anna.Account, Device: all[0]}}
	if !slices.Equal(told, want) {
		t.Errorf("relays were told %+v, want %+v", told, want)
	}
}

func ok[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// What is said of a device when it is added is kept of it.
func TestWishOfAnAddedDevice(t *testing.T) {
	w := newWorld(t)
	d, _, err := w.AddDevice(t.Context(), w.owner(), fleet.NewDevice{Name: "Pier 9", Region: " eu ", Second: fleet.On})
	if err != nil {
		t.Fatal(err)
	}
	if got := ok(w.Device(t.Context(), w.owner(), d.ID))(t); got.Region != "eu" || got.Second != fleet.On {
		t.Errorf("region %q, second tunnel %q", got.Region, got.Second)
	}
	for _, n := range []fleet.NewDevice{{Name: "x", Region: "EU west"}, {Name: "x", Second: "maybe"}} {
		_, _, err := w.AddDevice(t.Context(), w.owner(), n)
		wantCode(t, err, fault.Invalid)
	}
}

package fleet_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

func TestRenewal(t *testing.T) {
	w := newWorld(t)
	box := newPBX("SN-0001")
	g := w.activate(box.request())
	w.wait(20 * time.Hour)
	renewed, err := w.RenewPass(t.Context(), box.renewal(g.Device))
	if err != nil || renewed.Device != g.Device || renewed.Site != g.Site || !renewed.Expires.After(g.Expires) {
		t.Fatalf("%+v, %v", renewed, err)
	}
	_, err = w.RenewPass(t.Context(), newPBX("SN-0001").renewal(g.Device))
	wantCode(t, err, fault.ProofInvalid)
	_, err = w.RenewPass(t.Context(), box.renewal(id.NewDevice()))
	wantCode(t, err, fault.DeviceRemoved)
	r := box.renewal(g.Device)
	r.Nonce = nil
	_, err = w.RenewPass(t.Context(), r)
	wantCode(t, err, fault.Invalid)
	if got := w.audit(); len(got) < 4 || !slices.Equal(got[1:], []string{"renew_pass ok device SN-0001", "renew_pass proof_invalid device SN-0001", got[3]}) {
		t.Errorf("audit %q", got)
	}
	// A crowd of strangers does not fill the audit.
	before := len(w.auditPage().Items)
	for range 100 {
		_, err = w.RenewPass(t.Context(), box.renewal(id.NewDevice()))
		wantCode(t, err, fault.DeviceRemoved)
	}
	if n := len(w.auditPage().Items) - before; n > 10 {
		t.Errorf("%d entries", n)
	}
}

func TestRemoveDevice(t *testing.T) {
	w := newWorld(t)
	w.addUser("tech@example.com", fleet.RoleTechnician, false)
	w.addUser("other@example.com", fleet.RoleOwner, true)
	box := newPBX("SN-0001")
	g := w.activate(box.request())
	w.connect(g.Device, 1)
	p := w.signIn(owner)
	v, err := w.StartVisit(t.Context(), p, fleet.VisitRequest{Device: g.Device})
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, w.RemoveDevice(t.Context(), w.signIn("tech@example.com"), g.Device, ""), fault.Forbidden)
	wantCode(t, w.RemoveDevice(t.Context(), w.signIn("other@example.com"), g.Device, ""), fault.NotFound)
	if err := w.RemoveDevice(t.Context(), p, g.Device, ""); err != nil {
		t.Fatal(err)
	}
	if w.admits(g) {
		t.Error("the pass holds")
	}
	if r := w.revocations()["visit."+string(v.Visit.ID)]; r.Code != fault.DeviceRemoved {
		t.Errorf("visit: %+v", r)
	}
	_, err = w.RenewPass(t.Context(), box.renewal(g.Device))
	wantCode(t, err, fault.DeviceRemoved)
	wantCode(t, w.RemoveDevice(t.Context(), p, g.Device, ""), fault.NotFound)
	if s, _ := w.Subscription(t.Context(), p); s.Used != 0 {
		t.Errorf("%d connections used", s.Used)
	}
	again := w.activate(box.request())
	if again.Device == g.Device || !w.admits(again) {
		t.Errorf("%+v", again)
	}
}

// The database cannot be reached: the caller learns that, and to come again.
func TestNoDatabase(t *testing.T) {
	w := newWorld(t)
	w.activate(newPBX("SN-0001").request())
	w.store.Close()
	_, err := w.Activate(t.Context(), newPBX("SN-0002").request())
	if err == nil {
		t.Error("activated without a database")
	}
	w.restartOn(failing{fmt.Errorf("begin: %w: disk full", fleet.ErrUnavailable)})
	_, err = w.Activate(t.Context(), newPBX("SN-0002").request())
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != fault.Unavailable || f.Retry == 0 || strings.Contains(f.Message, "disk") {
		t.Errorf("%v", err)
	}
}

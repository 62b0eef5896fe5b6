package fleet_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// add makes a record as the owner.
func (w *world) add(name string) (fleet.Device, fleet.Code) {
	w.Helper()
	d, c, err := w.AddDevice(w.Context(), w.signIn(owner), fleet.NewDevice{Name: name, Comment: "3rd floor", Passwordless: true})
	if err != nil {
		w.Fatal(err)
	}
	return d, c
}

// with is the PBX's request by code.
func (p pbx) with(code string) fleet.Activation {
	a := p.request()
	a.Email, a.Password, a.Code = "", "", code
	return a
}

func TestEditDevice(t *testing.T) {
	w := newWorld(t)
	p := w.signIn(owner)
	d, _ := w.add("Acme")
	g, err := w.AddGroup(t.Context(), p, "North")
	if err != nil {
		t.Fatal(err)
	}
	name, comment, no := "Acme 2", "", false
	tag := d.Tag()
	d, err = w.EditDevice(t.Context(), p, d.ID, fleet.DeviceEdit{Match: tag, Name: &name, Comment: &comment, Group: &g.ID, Passwordless: &no})
	if err != nil || d.Name != name || d.Comment != "" || d.Group != g.ID || d.Passwordless || d.Tag() == tag {
		t.Errorf("%+v, %v", d, err)
	}
	_, err = w.EditDevice(t.Context(), p, d.ID, fleet.DeviceEdit{Match: tag, Name: &name})
	wantCode(t, err, fault.Changed)
	for _, bad := range []string{"", " ", "a\nb", strings.Repeat("x", 101), "\u202egnp.exe", "a\x00b"} {
		_, err = w.EditDevice(t.Context(), p, d.ID, fleet.DeviceEdit{Name: &bad})
		wantCode(t, err, fault.Invalid)
	}
	nowhere := id.NewGroup()
	_, err = w.EditDevice(t.Context(), p, d.ID, fleet.DeviceEdit{Group: &nowhere})
	wantCode(t, err, fault.NotFound)
	if gs, err := w.Groups(t.Context(), p); err != nil || len(gs) != 1 || gs[0].Devices != 1 {
		t.Errorf("%+v, %v", gs, err)
	}
	_, err = w.AddGroup(t.Context(), p, "NORTH")
	wantCode(t, err, fault.Taken)
	if g, err = w.RenameGroup(t.Context(), p, g.ID, "South", g.Tag()); err != nil || g.Name != "South" {
		t.Errorf("%+v, %v", g, err)
	}
	if err := w.RemoveGroup(t.Context(), p, g.ID, ""); err != nil {
		t.Error(err)
	}
	if d, err = w.Device(t.Context(), p, d.ID); err != nil || d.Group != "" {
		t.Errorf("%+v, %v", d, err)
	}
}

// What roles and other accounts may not do is refused, or not there at all.
func TestRecordsOfOthers(t *testing.T) {
	w := newWorld(t)
	w.addUser("tech@example.com", fleet.RoleTechnician, false)
	w.reseller("r@example.com", 5)
	d, _ := w.add("Acme")
	name := "x"
	calls := map[string]func(fleet.Principal) error{
		"edit": func(p fleet.Principal) error {
			_, err := w.EditDevice(t.Context(), p, d.ID, fleet.DeviceEdit{Name: &name})
			return err
		},
		"reissue": func(p fleet.Principal) error { _, _, err := w.ReissueCode(t.Context(), p, d.ID, 0); return err },
		"revoke":  func(p fleet.Principal) error { _, err := w.RevokeCode(t.Context(), p, d.ID); return err },
		"remove":  func(p fleet.Principal) error { return w.RemoveDevice(t.Context(), p, d.ID, "") },
	}
	for what, call := range calls {
		if code := fault.CodeOf(call(w.signIn("tech@example.com"))); code != fault.Forbidden {
			t.Errorf("technician, %s: %q", what, code)
		}
		if code := fault.CodeOf(call(w.signIn("r@example.com"))); code != fault.NotFound {
			t.Errorf("reseller, %s: %q", what, code)
		}
	}
	_, _, err := w.AddDevice(t.Context(), w.signIn("tech@example.com"), fleet.NewDevice{Name: "x"})
	wantCode(t, err, fault.Forbidden)
	for _, life := range []time.Duration{-1, time.Minute, 31 * 24 * time.Hour} {
		_, _, err := w.AddDevice(t.Context(), w.signIn(owner), fleet.NewDevice{Name: "x", CodeLife: life})
		wantCode(t, err, fault.Invalid)
	}
}

// Those above see and remove devices of the accounts below; nobody else does.
func TestUserDevices(t *testing.T) {
	w := newWorld(t)
	a := w.reseller("a@example.com", 5)
	w.reseller("b@example.com", 5)
	wantCode(t, w.activateAs("a@example.com", 1), "")
	wantCode(t, w.activateAs("b@example.com", 1), "")
	wantCode(t, w.activateAs(owner, 1), "")
	list := func(who string, q fleet.DeviceQuery) []string {
		t.Helper()
		page, err := w.Devices(t.Context(), w.signIn(who), q)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, d := range page.Items {
			out = append(out, string(d.Serial)+" "+d.Owner)
		}
		return out
	}
	if got := list(owner, fleet.DeviceQuery{Sub: true}); !slices.Equal(got, []string{"SNA00001 Reseller", "SNB00001 Reseller"}) {
		t.Errorf("below the provider: %q", got)
	}
	if got := list(owner, fleet.DeviceQuery{Sub: true, Account: a.ID}); !slices.Equal(got, []string{"SNA00001 Reseller"}) {
		t.Errorf("of one: %q", got)
	}
	if got := list(owner, fleet.DeviceQuery{}); !slices.Equal(got, []string{"SNO00001 "}) {
		t.Errorf("the provider's own: %q", got)
	}
	if got := list("a@example.com", fleet.DeviceQuery{Sub: true}); len(got) != 0 {
		t.Errorf("below a: %q", got)
	}
	_, err := w.Devices(t.Context(), w.signIn("b@example.com"), fleet.DeviceQuery{Sub: true, Account: a.ID})
	wantCode(t, err, fault.NotFound)
	page, err := w.Devices(t.Context(), w.signIn(owner), fleet.DeviceQuery{Sub: true, Account: a.ID})
	if err != nil {
		t.Fatal(err)
	}
	theirs := page.Items[0].ID
	_, err = w.StartVisit(t.Context(), w.signIn(owner), fleet.VisitRequest{Device: theirs})
	wantCode(t, err, fault.NotFound)
	wantCode(t, w.RemoveDevice(t.Context(), w.signIn("b@example.com"), theirs, ""), fault.NotFound)
	gone, err := w.RemoveDevices(t.Context(), w.signIn(owner), []id.Device{theirs, id.NewDevice()})
	if err != nil || len(gone) != 2 || gone[0].Err != nil || fault.CodeOf(gone[1].Err) != fault.NotFound {
		t.Errorf("%+v, %v", gone, err)
	}
	log, err := w.Audit(t.Context(), w.signIn("a@example.com"), fleet.AuditQuery{Action: fleet.ActionDeviceRemove})
	if err != nil || len(log.Items) != 1 || log.Items[0].Actor != owner {
		t.Errorf("the owner's audit: %+v, %v", log.Items, err)
	}
}

func TestExports(t *testing.T) {
	w := newWorld(t)
	var all []id.Device
	for i := range 7 {
		wantCode(t, w.activateAs(owner, i), "")
	}
	p := w.signIn(owner)
	if err := w.EachDevice(t.Context(), p, fleet.DeviceQuery{}, nil, func(d fleet.Device) error { all = append(all, d.ID); return nil }); err != nil || len(all) != 7 {
		t.Fatalf("%d, %v", len(all), err)
	}
	var some []id.Device
	err := w.EachDevice(t.Context(), p, fleet.DeviceQuery{}, []id.Device{all[3], id.NewDevice(), all[1]}, func(d fleet.Device) error { some = append(some, d.ID); return nil })
	if err != nil || !slices.Equal(some, []id.Device{all[1], all[3]}) {
		t.Errorf("%v, %v", some, err)
	}
	n := 0
	if err := w.EachAudit(t.Context(), p, fleet.AuditQuery{Action: "activate", Outcome: "ok", From: start, Actor: strings.ToUpper(owner)}, func(fleet.AuditEntry) error { n++; return nil }); err != nil || n != 7 {
		t.Errorf("%d entries, %v", n, err)
	}
	n = 0
	if err := w.EachAudit(t.Context(), p, fleet.AuditQuery{Outcome: fleet.OutcomeRefused}, func(fleet.AuditEntry) error { n++; return nil }); err != nil || n != 0 {
		t.Errorf("%d refusals, %v", n, err)
	}
}

func TestOverview(t *testing.T) {
	w := newWorld(t)
	w.add("Acme")
	wantCode(t, w.activateAs(owner, 1), "")
	o, err := w.Overview(t.Context(), w.signIn(owner))
	if err != nil || o.Devices[fleet.StatusNotActivated] != 1 || o.Devices[fleet.StatusNever] != 1 || o.Subscription.Used != 1 || o.Visits != 0 {
		t.Errorf("%+v, %v", o, err)
	}
}

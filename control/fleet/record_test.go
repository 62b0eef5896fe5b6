package fleet_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/control/license"
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

func TestActivateByCode(t *testing.T) {
	w := newWorld(t)
	d, c := w.add("Acme, head office")
	if d.Presence.Status != fleet.StatusNotActivated || d.Serial != "" || len(c.Secret) != 19 || c.Expires.Sub(w.now().UTC()).Round(time.Minute) != 24*time.Hour {
		t.Fatalf("%+v, %+v", d, c)
	}
	box := newPBX("SN-0001")
	typed := strings.ToLower(strings.ReplaceAll(c.Secret, "-", " ")) + "\n"
	g := w.activate(box.with(typed))
	if g.Device != d.ID || g.Name != "Acme, head office" || !w.admits(g) {
		t.Errorf("%+v", g)
	}
	got, err := w.Device(t.Context(), w.signIn(owner), d.ID)
	if err != nil || got.Serial != "SN-0001" || got.Comment != "3rd floor" || !got.Passwordless || got.Presence.Status != fleet.StatusNever {
		t.Errorf("%+v, %v", got, err)
	}
	// The reply was lost: the same request is answered again, however late.
	w.wait(48 * time.Hour)
	if again := w.activate(box.with(c.Secret)); again.Device != g.Device || !w.admits(again) {
		t.Errorf("again: %+v", again)
	}
	// Nobody else can use it: not another PBX, not another key.
	for _, other := range []pbx{newPBX("SN-0002"), newPBX("SN-0001")} {
		_, err := w.Activate(t.Context(), other.with(c.Secret))
		wantCode(t, err, fault.Rejected)
	}
	if s, _ := w.Subscription(t.Context(), w.signIn(owner)); s.Used != 1 {
		t.Errorf("%d connections are used", s.Used)
	}
	page, err := w.DeviceEvents(t.Context(), w.signIn(owner), d.ID, "", 0)
	if err != nil || len(page.Items) != 1 || page.Items[0].Kind != fleet.EventActivated {
		t.Errorf("timeline: %+v, %v", page, err)
	}
}

func TestRefusedCodes(t *testing.T) {
	w := newWorld(t)
	p := w.signIn(owner)
	f := func(name string, want fault.Code, code func() string) {
		t.Helper()
		w.wait(time.Hour) // past any throttle
		c := code()
		g, err := w.Activate(t.Context(), newPBX("SN-0001").with(c))
		if fault.CodeOf(err) != want || g.Pass != "" {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	f("unknown", fault.Rejected, func() string { return "0000-0000-0000-0000" })
	f("no code at all", fault.Rejected, func() string { return "<script>alert(1)</script>" })
	f("too long", fault.Rejected, func() string { return strings.Repeat("7", 5000) })
	f("expired", fault.Rejected, func() string { _, c := w.add("a"); w.wait(24 * time.Hour); return c.Secret })
	f("revoked", fault.Rejected, func() string {
		d, c := w.add("b")
		if _, err := w.RevokeCode(t.Context(), w.signIn(owner), d.ID); err != nil {
			t.Fatal(err)
		}
		return c.Secret
	})
	f("replaced by a newer one", fault.Rejected, func() string {
		d, c := w.add("c")
		if _, _, err := w.ReissueCode(t.Context(), w.signIn(owner), d.ID, 0); err != nil {
			t.Fatal(err)
		}
		return c.Secret
	})
	f("record removed", fault.Rejected, func() string {
		d, c := w.add("d")
		if err := w.RemoveDevice(t.Context(), w.signIn(owner), d.ID); err != nil {
			t.Fatal(err)
		}
		return c.Secret
	})
	f("no connections", fault.NoConnections, func() string { w.license = license.License{Plan: "x"}; _, c := w.add("e"); return c.Secret })
	w.license = license.Trial()
	both := newPBX("SN-0001").request()
	both.Code = "0000-0000-0000-0000"
	_, err := w.Activate(t.Context(), both)
	wantCode(t, err, fault.Invalid)
	if ds, err := w.Devices(t.Context(), p, fleet.DeviceQuery{Status: fleet.StatusNever}); err == nil && len(ds.Items) != 0 {
		t.Errorf("something was activated: %+v", ds.Items)
	}
	// Guessing is bounded, and right codes in between are not.
	w.wait(time.Hour)
	codes := 0
	for range 30 {
		if _, err := w.Activate(t.Context(), newPBX("SN-0009").with("1111-1111-1111-1111")); fault.CodeOf(err) == fault.Rejected {
			codes++
		}
	}
	if codes != 10 {
		t.Errorf("%d guesses were looked at", codes)
	}
}

// A code reissued for a device that is there is for its own PBX.
func TestCodeForAnActivatedDevice(t *testing.T) {
	w := newWorld(t)
	g := w.activate(newPBX("SN-0001").request())
	_, c, err := w.ReissueCode(t.Context(), w.signIn(owner), g.Device, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Activate(t.Context(), newPBX("SN-0002").with(c.Secret))
	wantCode(t, err, fault.Rejected)
	again := w.activate(newPBX("SN-0001").with(c.Secret))
	if again.Device != g.Device || w.admits(g) || !w.admits(again) {
		t.Errorf("%+v", again)
	}
}

// The PBX is there already, by e-mail: it stays the same device, and the
// record's name and wishes become its own.
func TestCodeForAKnownPBX(t *testing.T) {
	w := newWorld(t)
	g := w.activate(newPBX("SN-0001").request())
	d, c := w.add("Acme")
	again := w.activate(newPBX("SN-0001").with(c.Secret))
	if again.Device != g.Device || again.Name != "Acme" {
		t.Errorf("%+v", again)
	}
	_, err := w.Device(t.Context(), w.signIn(owner), d.ID)
	wantCode(t, err, fault.NotFound)
	if s, _ := w.Subscription(t.Context(), w.signIn(owner)); s.Used != 1 {
		t.Errorf("%d connections are used", s.Used)
	}
	w.reseller("r@example.com", 5)
	x, y, err := w.AddDevice(t.Context(), w.signIn("r@example.com"), fleet.NewDevice{Name: "Theirs"})
	if err != nil {
		t.Fatal(err, x)
	}
	_, err = w.Activate(t.Context(), newPBX("SN-0001").with(y.Secret))
	wantCode(t, err, fault.DeviceClaimed)
}

func TestOneCodeOneDevice(t *testing.T) {
	w := newWorld(t)
	_, c := w.add("Acme")
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 200 {
		a := newPBX(id.Serial(fmt.Sprintf("SN-%04d", i))).with(c.Secret)
		a.Remote = addr(byte(i))
		wg.Go(func() {
			switch _, err := w.Activate(t.Context(), a); fault.CodeOf(err) {
			case "":
				won.Add(1)
			case fault.Rejected, fault.Invalid:
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if s, _ := w.Subscription(t.Context(), w.signIn(owner)); s.Used != 1 || won.Load() != 1 {
		t.Errorf("%d PBXs won, %d connections are used", won.Load(), s.Used)
	}
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
	if err := w.RemoveGroup(t.Context(), p, g.ID); err != nil {
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
		"remove":  func(p fleet.Principal) error { return w.RemoveDevice(t.Context(), p, d.ID) },
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
	wantCode(t, w.RemoveDevice(t.Context(), w.signIn("b@example.com"), theirs), fault.NotFound)
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

// A code is read however it is typed; nothing else is a code.
func FuzzCode(f *testing.F) {
	f.Add("K7QM-4XWZ-9T2P-HD3V")
	f.Add("k7qm 4xwz 9t2p hd3v")
	f.Add("KIQM4XWZ9T2PHD3O")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		hash, ok := fleet.CodeHash(s)
		if !ok {
			if hash != "" {
				t.Fatal(hash)
			}
			return
		}
		for _, same := range []string{strings.ToLower(s), strings.ToUpper(s), "-" + s + " "} {
			if h, ok := fleet.CodeHash(same); len(same) <= 64 && (!ok || h != hash) {
				t.Fatalf("%q and %q differ", s, same)
			}
		}
	})
}

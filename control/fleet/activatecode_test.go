package fleet_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/control/license"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
	"trunkline/internal/tunnel"
)

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
		if err := w.RemoveDevice(t.Context(), w.signIn(owner), d.ID, ""); err != nil {
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

// An agent that repeats itself, because it heard no answer, gets one device.
func TestSameRequestInParallel(t *testing.T) {
	w := newWorld(t)
	d, c := w.add("Acme")
	a := newPBX("SN-0001").with(c.Secret)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if g, err := w.Activate(t.Context(), a); err != nil || g.Device != d.ID {
				t.Errorf("%+v, %v", g, err)
			}
		})
	}
	wg.Wait()
	page, err := w.Devices(t.Context(), w.signIn(owner), fleet.DeviceQuery{})
	if err != nil || page.Total != 1 {
		t.Errorf("%d devices, %v", page.Total, err)
	}
	if got := w.timeline(d.ID); len(got) != 1 {
		t.Errorf("timeline %q", got)
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

// What the record says of the PBX holds at once for who is in it.
func TestMergeEndsVisits(t *testing.T) {
	w := newWorld(t)
	p := w.signIn(owner)
	x := newPBX("SN-0001")
	g := w.activate(x.request())
	w.logins(g.Device, 1, tunnel.Logins{Passwordless: true})
	w.allow(p, g.Device, true)
	v, err := w.StartVisit(t.Context(), p, fleet.VisitRequest{Device: g.Device, Method: token.MethodPasswordless})
	if err != nil {
		t.Fatal(err)
	}
	_, c, err := w.AddDevice(t.Context(), p, fleet.NewDevice{Name: "Acme"}) // and no login without a password
	if err != nil {
		t.Fatal(err)
	}
	if again, err := w.Activate(t.Context(), x.with(c.Secret)); err != nil || again.Device != g.Device {
		t.Fatal(again, err)
	}
	if w.revocations()["visit."+string(v.Visit.ID)].Code != fault.AccessWithdrawn {
		t.Error("still in")
	}
}

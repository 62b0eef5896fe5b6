package fleet_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/control/license"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
)

func TestActivate(t *testing.T) {
	w := newWorld(t)
	g := w.activate(newPBX("SN-0001").request())
	if g.Name != "P-Series Appliance SN-0001" || g.Account != "Provider" || len(g.Relays) != 2 || g.Expires.Sub(g.Issued) != token.PassLife {
		t.Errorf("grant %+v", g)
	}
	if !w.admits(g) {
		t.Error("the pass does not hold")
	}
	p := w.signIn(owner)
	d, err := w.Device(t.Context(), p, g.Device)
	if err != nil || d.Site != g.Site || d.Presence.Status != fleet.StatusNever || d.Serial != "SN-0001" {
		t.Errorf("%+v, %v", d, err)
	}
	if s, err := w.Subscription(t.Context(), p); err != nil || s.Status != "Trial" || s.Used != 1 || s.Connections != 25 {
		t.Errorf("%+v, %v", s, err)
	}
}

// The reply was lost; the agent asks again within the same second, and later.
func TestLostReply(t *testing.T) {
	w := newWorld(t)
	box := newPBX("SN-0001")
	first := w.activate(box.request())
	for _, after := range []time.Duration{0, time.Hour} {
		w.wait(after)
		again := w.activate(box.request())
		if again.Device != first.Device || again.Site != first.Site || again.Name != first.Name || !w.admits(again) || !w.admits(first) {
			t.Errorf("%+v, then %+v", first, again)
		}
	}
	if len(w.revocations()) != 0 {
		t.Errorf("revoked %v", w.revocations())
	}
	if s, _ := w.Subscription(t.Context(), w.signIn(owner)); s.Used != 1 {
		t.Errorf("%d connections used", s.Used)
	}
}

// The agent was installed anew, again and again within a second: each time
// only the newest key's pass holds, at once.
func TestNewKeyReplacesTheOld(t *testing.T) {
	w := newWorld(t)
	box := newPBX("SN-0001")
	grants := []fleet.Grant{w.activate(box.request())}
	for range 3 {
		box = newPBX("SN-0001")
		g := w.activate(box.request())
		again := w.activate(box.request())
		renewed, err := w.RenewPass(t.Context(), box.renewal(g.Device))
		if err != nil || !w.admits(g) || !w.admits(again) || !w.admits(renewed) {
			t.Errorf("a pass of the new key does not hold: %v", err)
		}
		for _, old := range grants {
			if w.admits(old) {
				t.Error("a pass of an old key holds")
			}
		}
		if g.Device != grants[0].Device || g.Site != grants[0].Site {
			t.Error("another device or site")
		}
		grants = append(grants, g, again, renewed)
	}
}

func TestRefusedActivations(t *testing.T) {
	w := newWorld(t)
	w.addUser("tech@example.com", fleet.RoleTechnician, false)
	w.addUser("audit@example.com", fleet.RoleAuditor, false)
	w.addUser("other@example.com", fleet.RoleOwner, true)
	w.activate(newPBX("TAKEN-1").request())
	for _, c := range []struct {
		name   string
		change func(*fleet.Activation)
		want   fault.Code
		says   string
	}{
		{"wrong password", func(a *fleet.Activation) { a.Password = "wrong" }, fault.Rejected, ""},
		{"long password", func(a *fleet.Activation) { a.Password = strings.Repeat("x", 5000) }, fault.Rejected, ""},
		{"unknown e-mail", func(a *fleet.Activation) { a.Email = "nobody@example.com" }, fault.Rejected, ""},
		{"no e-mail", func(a *fleet.Activation) { a.Email = "hunter2" }, fault.Rejected, ""},
		{"auditor", func(a *fleet.Activation) { a.Email = "audit@example.com" }, fault.Rejected, ""},
		{"stolen key", func(a *fleet.Activation) { a.Key = newPBX("x").request().Key }, fault.ProofInvalid, ""},
		{"proof of another SN", func(a *fleet.Activation) { a.Proof = newPBX("SN-2").request().Proof }, fault.ProofInvalid, ""},
		{"model", func(a *fleet.Activation) { a.Model = "S-Series" }, fault.ModelRefused, "P-Series Software Edition"},
		{"firmware", func(a *fleet.Activation) { a.Firmware = "37.19.0.109" }, fault.FirmwareOld, "37.19.0.110"},
		{"firmware of the other edition", func(a *fleet.Activation) { a.Model = "p-series software edition" }, fault.FirmwareOld, "83.19.0.110"},
		{"other account", func(a *fleet.Activation) { a.Serial, a.Email = "TAKEN-1", "other@example.com" }, fault.DeviceClaimed, "TAKEN-1"},
		{"short key", func(a *fleet.Activation) { a.Key = a.Key[:31] }, fault.Invalid, ""},
		{"no serial", func(a *fleet.Activation) { a.Serial = "" }, fault.Invalid, ""},
		{"line in model", func(a *fleet.Activation) { a.Model = "a\nb" }, fault.Invalid, ""},
		{"long firmware", func(a *fleet.Activation) { a.Firmware = strings.Repeat("9", 101) }, fault.Invalid, ""},
		{"half a pair", func(a *fleet.Activation) { a.HotStandby.Enabled = true }, fault.Invalid, ""},
	} {
		w.wait(time.Hour) // past any throttle
		before := len(w.auditPage().Items)
		box := newPBX("SN-0002")
		a := box.request()
		c.change(&a)
		if a.Serial == "TAKEN-1" {
			box.serial = a.Serial
			a.Key, a.Proof = box.request().Key, box.request().Proof
		}
		g, err := w.Activate(t.Context(), a)
		wantCode(t, err, c.want)
		if err == nil || !strings.Contains(err.Error(), c.says) || g.Pass != "" {
			t.Errorf("%s: %v, %+v", c.name, err, g)
		}
		if c.want == fault.Invalid {
			continue // no decision: nothing was asked that makes sense
		}
		log := w.auditPage().Items
		if c.want == fault.DeviceClaimed {
			// It was the other account's user who asked: the entry is in its log.
			p, err := w.Audit(t.Context(), w.signIn("other@example.com"), fleet.AuditQuery{Action: "activate"})
			if err != nil {
				t.Fatal(err)
			}
			log, before = p.Items, 0
		}
		if len(log) != before+1 || log[0].Outcome != string(c.want) || log[0].Action != "activate" || log[0].Remote != "192.0.2.9" {
			t.Errorf("%s: audit %d more, %+v", c.name, len(log)-before, log[0])
		}
		if strings.Contains(fmt.Sprint(log), "hunter2") || strings.Contains(fmt.Sprint(log), password) {
			t.Errorf("%s: a secret is in the audit", c.name)
		}
	}
	a := newPBX("SN-0003").request()
	a.Email = " Tech@Example.com "
	w.activate(a)
}

// A wrong e-mail and a wrong password are answered with the same words.
func TestRejectedNeverTellsWhich(t *testing.T) {
	w := newWorld(t)
	w.addUser("audit@example.com", fleet.RoleAuditor, false)
	var said []string
	for _, login := range [][2]string{{owner, "wrong"}, {"nobody@example.com", password}, {"audit@example.com", password}} {
		a := newPBX("SN-0001").request()
		a.Email, a.Password = login[0], login[1]
		_, err := w.Activate(t.Context(), a)
		said = append(said, err.Error())
	}
	if len(slices.Compact(said)) != 1 {
		t.Errorf("%q", said)
	}
}

func TestTheLastConnectionsAreNotOversold(t *testing.T) {
	w := newWorld(t)
	w.license = license.License{Plan: "standard", Connections: 12}
	w.activate(newPBX("OLD-1").request())
	w.activate(newPBX("OLD-2").request())
	var wg sync.WaitGroup
	results := make(chan error, 100)
	for i := range 100 {
		wg.Go(func() {
			a := newPBX(id.Serial(fmt.Sprintf("NEW-%03d", i))).request()
			a.Remote = addr(byte(i))
			_, err := w.Activate(t.Context(), a)
			for fault.CodeOf(err) == fault.TooMany { // in one moment from one e-mail: as an agent would, again
				time.Sleep(5 * time.Millisecond)
				_, err = w.Activate(t.Context(), a)
			}
			results <- err
		})
	}
	wg.Wait()
	close(results)
	ok := 0
	for err := range results {
		if err == nil {
			ok++
		} else if fault.CodeOf(err) != fault.NoConnections || !strings.Contains(err.Error(), "12 of 12") {
			t.Errorf("refused with %v", err)
		}
	}
	p := w.signIn(owner)
	page, err := w.Devices(t.Context(), p, fleet.DeviceQuery{})
	if s, _ := w.Subscription(t.Context(), p); ok != 10 || s.Used != 12 || err != nil || page.Total != 12 {
		t.Errorf("%d activated, %d used, %d listed: want 10, 12, 12", ok, s.Used, page.Total)
	}
}

// A PBX that is known needs no new connection, so it gets its pass however
// full, or expired, the subscription is.
func TestLicence(t *testing.T) {
	w := newWorld(t)
	end := start.Add(time.Hour)
	w.license = license.License{Plan: "standard", Connections: 1, Expires: end}
	box := newPBX("SN-0001")
	g := w.activate(box.request())
	if g.LicenceExpired || g.LicenceLeft != time.Hour+license.Grace {
		t.Errorf("told of a licence that is over (%t) in %s", g.LicenceExpired, g.LicenceLeft)
	}
	_, err := w.Activate(t.Context(), newPBX("SN-0002").request())
	wantCode(t, err, fault.NoConnections)

	w.license.Connections = 2
	w.wait(license.Grace) // not quite over
	w.activate(newPBX("SN-0002").request())
	w.license.Connections = 9
	w.wait(2 * time.Hour)
	_, err = w.Activate(t.Context(), newPBX("SN-0003").request())
	wantCode(t, err, fault.LicenceExpired)
	w.activate(box.request())
	if g, err := w.RenewPass(t.Context(), box.renewal(g.Device)); err != nil || !g.LicenceExpired || g.LicenceLeft != 0 {
		t.Errorf("renew without a licence: told so: %t, left %s, %v", g.LicenceExpired, g.LicenceLeft, err)
	}
	w.license.Expires = w.clock.AddDate(1, 0, 0)
	if g, err := w.RenewPass(t.Context(), box.renewal(g.Device)); err != nil || g.LicenceExpired || g.LicenceLeft < 365*24*time.Hour {
		t.Errorf("renew with a new licence: told that it is over: %t, left %s, %v", g.LicenceExpired, g.LicenceLeft, err)
	}
	w.license.Expires = end
	if s, _ := w.Subscription(t.Context(), w.signIn(owner)); s.Status != "Not Subscribed" {
		t.Errorf("%+v", s)
	}
}

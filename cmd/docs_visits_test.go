package cmd_test

import (
	"fmt"
	"html"
	"strings"
	"testing"
	"time"

	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/pbxsim"
)

// Two PBXs, one with each adapter, are visited by docs/visits.md.
func TestVisitsPage(t *testing.T) {
	t.Parallel()
	page, provider := followPage(t, "visits.md"), newProvider(t, "")
	const without = "Without a password"
	simulated := pbxsim.Config{SuperAdmin: "root", SuperPassword: "super secret", TrustedHeader: "X-Remote-User", PersonHeader: "X-Remote-Person"}
	const told = "How the PBX knows the account"
	account := page.block(told, "yaml", 0)
	byHeader := provider.visited(page.block(without, "yaml", 0)+account, simulated, "3631A20C0042")
	byForm := provider.visited(page.block(without, "yaml", 1), simulated, "3631A20C0043")
	byHeader.write("/usr/local/bin/pbx-account", page.block(told, "bash", 0))

	page.follow(byHeader, "Account Login")
	provider.isAdministrator("3631A20C0042", "support")
	page.follow(byHeader, "Open one without a browser")
	page.follow(byHeader, "See who is in, and end it")

	for sn, m := range map[string]*machine{"3631A20C0042": byHeader, "3631A20C0043": byForm} {
		d := provider.connected(sn)
		if _, err := provider.start(d); fault.CodeOf(err) != fault.Forbidden {
			t.Errorf("neither side allows it: %v", err)
		}
		page.follow(m, without)
		provider.devices(controlapi.DeviceQuery{DeviceFilter: controlapi.DeviceFilter{Search: sn}}, func(found []controlapi.Device) bool {
			return len(found) == 1 && found[0].Logins != nil && found[0].Logins.Passwordless && found[0].Passwordless
		})
		start, err := provider.start(d)
		if err != nil {
			t.Fatal(err)
		}
		text, err := provider.enter(start).Fetch(t.Context(), "/oplog") // the super administrator's alone
		if shown := html.UnescapeString(string(text)); err != nil || !strings.Contains(shown, `id="person">Administrator <you@example.com>`) || !strings.Contains(shown, "Super administrator") {
			t.Errorf("%s: %v %.3000s", sn, err, shown)
		}
	}

	// When it ends, as far as it is said at its start.
	if out, err := byForm.run("trunkline-agent set auto-logout 20m --config /etc/trunkline/agent.yaml"); err != nil {
		t.Fatal(err, out)
	}
	form := provider.connected("3631A20C0043")
	for late := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		start, err := provider.start(form)
		if err == nil && start.Visit.IdleSeconds == 20*60 && start.Visit.Expires.Sub(start.Visit.Started) == 8*time.Hour {
			break
		}
		if time.Now().After(late) {
			t.Fatalf("%+v %v", start, err)
		}
	}
	start, err := provider.owner.StartVisit(t.Context(), controlapi.VisitRequest{Device: form.ID})
	if err != nil || start.Visit.IdleSeconds != 15*60 {
		t.Errorf("%+v %v", start, err)
	}
}

// isAdministrator signs in at a PBX's own page with the account that was set,
// whose password is in the same file as the provider's.
func (p *provider) isAdministrator(sn, user string) {
	p.t.Helper()
	start, err := p.owner.StartVisit(p.t.Context(), controlapi.VisitRequest{Device: p.connected(sn).ID})
	if err != nil {
		p.t.Fatal(err)
	}
	v := p.enter(start)
	if err := pbxsim.SignIn(p.t.Context(), v.Client, v.Origin, user, readSecret(p.t, p.password)); err != nil {
		p.t.Fatal(err)
	}
	text, err := v.Fetch(p.t.Context(), "/")
	if shown := string(text); err != nil || !strings.Contains(shown, `id="whoami">`+user+"<") || strings.Contains(shown, "Super administrator") {
		p.t.Errorf("%s: %v %.3000s", sn, err, shown)
	}
}

// visited is a connected PBX whose agent's configuration has an adapter, at
// which somebody with an API token of the provider's sits as well.
func (p *provider) visited(adapter string, c pbxsim.Config, sn string) *machine {
	p.t.Helper()
	c.Local = fmt.Sprintf("127.0.0.1:%d", freePort())
	m, _ := p.pbx(c, adapter, "127.0.0.1:8089", c.Local, "3631A20C0042", sn, "set account support", "set account support --password-file "+p.password) // asked for as well
	m.write("/etc/trunkline/super-password", c.SuperPassword+"\n")
	m.env = append(m.env, p.desk(m.root, "devices:read", "devices:write", "visits:read", "visits:write").env...)
	connect := openPage(p.t, "connect.md")
	connect.follow(m, "Start the agent")
	connect.follow(m, "By e-mail")
	return m
}

// start asks for a passwordless visit.
func (p *provider) start(d controlapi.Device) (controlapi.VisitStart, error) {
	return p.owner.StartVisit(p.t.Context(), controlapi.VisitRequest{Device: d.ID, Method: "passwordless"})
}

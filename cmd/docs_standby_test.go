package cmd_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"trunkline/internal/controlapi"
	"trunkline/internal/pbxsim"
	"trunkline/internal/visitor"
)

// A pair is set up by docs/hot-standby.md on the last connection, one server
// with the file and one with the command, fails over, and is dissolved.
func TestHotStandbyPage(t *testing.T) {
	t.Parallel()
	const primary, secondary = "3631A20C0002", "3631A20C0003"
	page, connect := followPage(t, "hot-standby.md"), openPage(t, "connect.md")
	provider := newProvider(t, licenceFor(t, 1, 365))

	setUp := "Set it up"
	facts := page.block(setUp, "json", 0) // the primary's, which is active
	if !strings.Contains(facts, secondary) {
		t.Fatalf("the page's facts are %s", facts)
	}
	say := func(m server, kind, role string) {
		t.Helper()
		m.write("/run/pbx/standby.json", strings.NewReplacer(`"primary"`, `"`+kind+`"`, `"active"`, `"`+role+`"`, secondary, m.peer).Replace(facts))
	}
	soon := "  every: 500ms\n"
	m, _ := provider.pbx(pbxsim.Config{Name: "Primary Hall"}, page.block(setUp, "yaml", 0)+soon, "3631A20C0042", primary)
	one := server{m, secondary}
	say(one, "primary", "active")
	m, _ = provider.pbx(pbxsim.Config{Name: "Secondary Hall"}, page.block(setUp, "yaml", 1)+soon, "3631A20C0042", secondary)
	two := server{m, primary}
	say(two, "secondary", "standby")
	two.write("/usr/local/bin/pbx-standby", "#!/bin/sh\ncat /run/pbx/standby.json\n")
	if _, err := two.run("chmod +x /usr/local/bin/pbx-standby"); err != nil {
		t.Fatal(err)
	}
	for _, m := range []server{one, two} {
		connect.follow(m.machine, "Start the agent")
		connect.follow(m.machine, "By e-mail")
	}
	pair := func(marks, alarm string) []controlapi.Device {
		t.Helper()
		return provider.devices(controlapi.DeviceQuery{}, func(found []controlapi.Device) bool {
			have := map[string]string{}
			for _, d := range found {
				if d.Status != controlapi.StatusConnected || d.PairAlarm != alarm {
					return false
				}
				have[string(d.Serial)] = d.Mark
				if d.OverCapacity {
					have[string(d.Serial)] += "over capacity"
				}
			}
			return have[primary]+", "+have[secondary] == marks
		})
	}
	devices := pair("active, standby", "")
	if devices[0].Site != devices[1].Site || provider.used() != 1 {
		t.Fatalf("%d connections are used by %+v", provider.used(), devices)
	}
	visit := provider.visit(devices[0])
	visit.shows(t, "Primary Hall")

	// The failover: whoever is in gets a page that says so, once.
	say(one, "primary", "standby")
	say(two, "secondary", "active")
	pair("standby, active", "")
	visit.shows(t, "roles_swapped")
	visit.shows(t, "Secondary Hall")

	// What can be wrong, by the table.
	say(one, "primary", "active")
	pair("active, standby", "two_active")
	say(one, "primary", "standby")
	say(two, "secondary", "standby")
	pair("active, standby", "none_active")
	say(two, "secondary", "active")
	say(one, "secondary", "standby")
	pair("standby, active", "same_type")
	say(one, "primary", "standby")
	pair("standby, active", "")

	one.write("/run/pbx/standby.json", `{"enabled": false}`)
	pair("over capacity, ", "")
}

// server is one of the two, which names the other.
type server struct {
	*machine
	peer string
}

func (p *provider) used() int {
	p.t.Helper()
	s, err := p.owner.Subscription(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	return s.Used
}

// caller is somebody in a site.
type caller struct{ *visitor.Visitor }

func (p *provider) visit(d controlapi.Device) caller {
	p.t.Helper()
	start, err := p.owner.StartVisit(p.t.Context(), controlapi.VisitRequest{Site: d.Site})
	if err != nil {
		p.t.Fatal(err)
	}
	return p.enter(start)
}

func (p *provider) enter(start controlapi.VisitStart) caller {
	p.t.Helper()
	v, err := visitor.Enter(p.t.Context(), p.tls, "https://"+p.address, start)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(v.CloseIdleConnections)
	return caller{v}
}

// shows is what a browser's navigation gets.
func (c caller) shows(t *testing.T, want string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.Origin+"/login", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"Accept": "text/html", "Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate"} {
		req.Header.Set(name, value)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var text strings.Builder
	if err := resp.Write(&text); err != nil || !strings.Contains(text.String(), want) {
		t.Errorf("no %q: %v %s", want, err, fmt.Sprintf("%.500s", text.String()))
	}
}

package cmd_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"trunkline/agent/manage"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/pbxsim"
)

// statuses is docs/statuses.md, of which every row is to be met.
type statuses struct {
	*page
	rows map[string]map[string]string // by heading and status: the rest of the row
	met  map[string]bool
}

func openStatuses(t *testing.T) *statuses {
	t.Helper()
	s := &statuses{page: openPage(t, "statuses.md"), rows: map[string]map[string]string{}, met: map[string]bool{}}
	for _, section := range strings.Split(s.text, "\n## ")[1:] {
		heading, text, _ := strings.Cut(section, "\n")
		text, _, _ = strings.Cut(text, "\n### ")
		s.rows[heading] = map[string]string{}
		for _, m := range regexp.MustCompile(`(?m)^\| ([^|]+) \| (.*) \|$`).FindAllStringSubmatch(text, -1) {
			if m[1] != "status" && m[1] != "---" {
				s.rows[heading][m[1]] = m[2]
			}
		}
	}
	return s
}

const (
	onPBX     = "On the PBX's page, and in `trunkline-agent status`"
	inConsole = "In the console, of a device"
)

// all fails where a row of a section was not met, but for those that are met
// elsewhere.
func (s *statuses) all(heading string, elsewhere ...string) {
	s.t.Helper()
	if len(s.rows[heading]) < 5 {
		s.t.Fatalf("%q has %d rows: the walk is broken", heading, len(s.rows[heading]))
	}
	for _, e := range elsewhere {
		s.met[heading+e] = true
	}
	for row := range s.rows[heading] {
		if !s.met[heading+row] {
			s.t.Errorf("no PBX was brought into %q", row)
		}
	}
}

// is waits until the command and the page of a PBX show a status, with a code
// and a reason that has the words. The document has the status, and its exit
// code is what the document says.
func (s *statuses) is(m *machine, on *pbxPage, state manage.State, code fault.Code, reason string) {
	s.t.Helper()
	if s.rows[onPBX][string(state)] == "" {
		s.t.Errorf("the document has no %q", state)
	}
	s.met[onPBX+string(state)] = true
	const command = "trunkline-agent status --config /etc/trunkline/agent.yaml"
	for late := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		asJSON, err := m.run(command + " --json")
		var got manage.Status
		line, _, _ := strings.Cut(asJSON, "\n")
		_ = json.Unmarshal([]byte(line), &got) // "" is none
		page, all := on.says()
		wrong := fmt.Sprintf("%v: %s; the page: %s", err, asJSON, all)
		right := got.State == state && got.Code == code && strings.Contains(got.Reason, reason) && !got.Since.IsZero() &&
			(err == nil) == (state == manage.Connected) && page == string(state) && strings.Contains(all, got.Reason)
		if right {
			text, _ := m.run(command)
			if !regexp.MustCompile(`(?m)^State +` + string(state) + `$`).MatchString(text) {
				s.t.Errorf("the command shows\n%s", text)
			}
			return
		}
		if time.Now().After(late) {
			s.t.Fatalf("it is not %s, %s, %q: %s", state, code, reason, wrong)
		}
	}
}

// shows waits until the API has a status of a device, and the console the words.
func (s *statuses) shows(p *provider, c *console, d controlapi.Device, status string, code fault.Code, words string) {
	s.t.Helper()
	if s.rows[inConsole][words] == "" {
		s.t.Errorf("the document has no %q", words)
	}
	s.met[inConsole+words] = true
	for late := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		got, err := p.owner.Device(s.t.Context(), d.ID)
		pill, body := c.pill(d)
		if err == nil && got.Status == status && got.Reason == code && pill == words && strings.Contains(body, got.ReasonText) {
			return
		}
		if time.Now().After(late) {
			s.t.Fatalf("the API has %s (%s) %v, and the console %q, not %s (%s) and %q", got.Status, got.Reason, err, pill, status, code, words)
		}
	}
}

// Real PBXs are brought into what docs/statuses.md has: their page, the command,
// the API and the console say of each what the document says.
func TestStatusesPage(t *testing.T) {
	t.Parallel()
	s, connect := openStatuses(t), openPage(t, "connect.md")
	p := newProvider(t, licenceFor(t, 2, 365))
	c := p.console()
	byEmail, byCode := connect.block("By e-mail", "sh", 0), connect.block("By authentication code", "sh", 0)

	added, err := p.owner.AddDevice(t.Context(), controlapi.NewDevice{Name: "Branch 7"})
	if err != nil {
		t.Fatal(err)
	}
	s.shows(p, c, added.Device, controlapi.StatusNotActivated, "", "Not activated")
	one, _ := p.pbx(pbxsim.Config{}, "", "VC0N-N3RS-1AY5-6R5Y", added.Code)
	if out, err := one.run(byCode); err != nil { // no agent runs
		t.Fatal(err, out)
	}
	s.shows(p, c, added.Device, controlapi.StatusNever, "", "Never connected")
	connect.follow(one, "Start the agent")
	onOne := one.openPBX()
	s.is(one, onOne, manage.Connected, "", "")
	s.shows(p, c, added.Device, controlapi.StatusConnected, "", "Connected")
	one.does("trunkline-agent access off --config /etc/trunkline/agent.yaml")
	s.is(one, onOne, manage.RemoteAccessOff, "", "switched off on this PBX")
	s.shows(p, c, added.Device, controlapi.StatusDisconnected, fault.RemoteOff, "Not connected")
	one.does("trunkline-agent access on --config /etc/trunkline/agent.yaml")
	s.is(one, onOne, manage.Connected, "", "")

	two, _ := p.pbx(pbxsim.Config{}, "", "3631A20C0042", "3631A20C0043")
	config := readSecret(t, two.to.Replace("/etc/trunkline/agent.yaml"))
	two.write("/etc/trunkline/agent.yaml", regexp.MustCompile(`url: \S+`).ReplaceAllString(two.back.Replace(config), fmt.Sprintf("url: http://127.0.0.1:%d", freePort()))+"\n")
	connect.follow(two, "Start the agent")
	onTwo := two.openPBX()
	s.is(two, onTwo, manage.NotActivated, "", "not connected to a provider")
	two.write("/etc/trunkline/wrong", "not the password\n")
	two.refused(strings.TrimSpace(byEmail)+" --password-file /etc/trunkline/wrong", fault.Rejected)
	s.is(two, onTwo, manage.Rejected, fault.Rejected, "")
	two.does(byEmail)
	s.is(two, onTwo, manage.Connected, "", "")
	dark := p.devices(controlapi.DeviceQuery{DeviceFilter: controlapi.DeviceFilter{Search: "3631A20C0043"}}, func(d []controlapi.Device) bool { return len(d) == 1 })[0]
	p.visit(dark).shows(t, string(fault.PortalRefused)) // within 10 seconds of a visit that failed by it
	s.shows(p, c, dark, controlapi.StatusConnected, fault.PortalRefused, "Portal does not answer")

	three, _ := p.pbx(pbxsim.Config{}, "", "3631A20C0042", "3631A20C0044")
	connect.follow(three, "Start the agent")
	onThree := three.openPBX()
	three.refused(byEmail, fault.NoConnections)
	s.is(three, onThree, manage.OverCapacity, fault.NoConnections, "")
	if err := p.owner.RemoveDevice(t.Context(), dark.ID); err != nil {
		t.Fatal(err)
	}
	s.is(two, onTwo, manage.DisconnectedByProvider, fault.DeviceRemoved, "")
	three.does(byEmail)
	s.is(three, onThree, manage.Connected, "", "")

	// Another agent with a copy of its identity.
	copied, _ := p.pbx(pbxsim.Config{}, "")
	copied.copies(one)
	connect.follow(copied, "Start the agent")
	s.is(one, onOne, manage.Rejected, fault.Replaced, "see that only one has this key")

	s.outOfReach(p, connect, three, onThree)
	s.licenceOver(connect)
	s.all(onPBX)
	// Pairs are TestHotStandbyPage's; NATS goes away in control's own tests.
	s.all(inConsole, "Active, Standby", "Over capacity", "Not known")
}

// outOfReach: the provider goes away, and what is in its place takes connections
// and says nothing; then nobody is there.
func (s *statuses) outOfReach(p *provider, connect *page, connected *machine, on *pbxPage) {
	t := s.t
	t.Helper()
	late, _ := p.pbx(pbxsim.Config{}, "", "3631A20C0042", "3631A20C0045")
	late.copies(connected)
	p.up.stop(os.Kill)
	silent, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p.up.port))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	connect.follow(late, "Start the agent")
	s.is(late, late.openPBX(), manage.Connecting, "", "")
	silent.Close()
	s.is(connected, on, manage.ServerUnreachable, "", "")
	if _, all := on.says(); !strings.Contains(all, "attempt") || !strings.Contains(all, "Next try") {
		t.Errorf("the page does not say what was tried, how often, and when next: %s", all)
	}
}

// licenceOver: an activation is refused by a provider whose licence is over.
func (s *statuses) licenceOver(connect *page) {
	t := s.t
	t.Helper()
	p := newProvider(t, licenceFor(t, 5, -15))
	m, _ := p.pbx(pbxsim.Config{}, "")
	connect.follow(m, "Start the agent")
	on := m.openPBX()
	m.refused(connect.block("By e-mail", "sh", 0), fault.LicenceExpired)
	s.is(m, on, manage.LicenceExpired, fault.LicenceExpired, "")
}

// does is run, for a command that is to succeed.
func (m *machine) does(command string) {
	m.t.Helper()
	if out, err := m.run(command); err != nil {
		m.t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// copies gives m the identity of another machine's agent.
func (m *machine) copies(of *machine) {
	m.t.Helper()
	const dir = "/var/lib/trunkline-agent"
	if out, err := exec.Command("cp", "-a", of.to.Replace(dir), m.to.Replace(dir)).CombinedOutput(); err != nil {
		m.t.Fatal(err, string(out))
	}
}

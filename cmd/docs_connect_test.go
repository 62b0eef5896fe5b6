package cmd_test

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"trunkline/agent"
	"trunkline/agent/manage"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/pbxsim"
)

// Somebody connects two PBXs by docs/connect.md: one by e-mail, one by a code,
// and then makes the mistakes that it lists.
func TestConnectPage(t *testing.T) {
	t.Parallel()
	page, provider := followPage(t, "connect.md"), newProvider(t, "")
	if listen := agent.Default().Page.Listen; listen != pageListen {
		t.Errorf("the page is at %s", listen)
	}

	byEmail, _ := provider.pbx(pbxsim.Config{}, "")
	page.follow(byEmail, "Start the agent")
	page.follow(byEmail, "By e-mail")
	connected := provider.connected("3631A20C0042")

	added, err := provider.owner.AddDevice(t.Context(), controlapi.NewDevice{Name: "Branch 7"})
	if err != nil {
		t.Fatal(err)
	}
	// Capitals, spaces and hyphens do not matter.
	typed := strings.ToLower(strings.ReplaceAll(added.Code, "-", ""))
	byCode, _ := provider.pbx(pbxsim.Config{}, "", "VC0N-N3RS-1AY5-6R5Y", typed, "3631A20C0042", "3631A20C0043")
	page.follow(byCode, "Start the agent")
	page.follow(byCode, "By authentication code")
	if d := provider.connected("3631A20C0043"); d.Name != "Branch 7" || d.ID != added.Device.ID {
		t.Errorf("the code's PBX is %+v", d)
	}
	page.follow(byCode, "By authentication code") // again: a lost answer does no harm

	t.Run("on the page", func(t *testing.T) { onPage(t, page, provider) })
	t.Run("refused", func(t *testing.T) { refusals(t, page, provider, typed) })
	if d := provider.connected("3631A20C0042"); d.ID != connected.ID {
		t.Errorf("what went wrong elsewhere changed %+v to %+v", connected, d)
	}
}

// Somebody connects a third by its own page, and is told there what went wrong.
func onPage(t *testing.T, page *page, provider *provider) {
	m, _ := provider.pbx(pbxsim.Config{}, "", "3631A20C0042", "3631A20C0047")
	page.follow(m, "Start the agent")
	on := m.openPBX()
	typed := map[string]string{
		"Email": "you@example.com", "Password": "not the password", "Serial Number": m.to.Replace("3631A20C0042"), "Model": "P-Series Software Edition", "Firmware": "83.19.0.110",
	}
	_, table, _ := strings.Cut(page.text, "On the page choose\n")
	table, _, _ = strings.Cut(table, "**Save**")
	for _, row := range regexp.MustCompile(`(?m)^\| ([^|]+) \| (.*) \|$`).FindAllStringSubmatch(table, -1)[1:] {
		for field := range strings.SplitSeq(row[1], ", ") {
			if typed[field] != "" || field == "---" {
				continue // "the user's", "as on the PBX"
			}
			typed[field] = row[2]
			if quoted := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[2], -1); quoted != nil {
				typed[field] = m.to.Replace(quoted[len(quoted)-1][1])
			}
		}
	}
	if len(typed) != 8 {
		t.Fatalf("the page has one fill in %q", typed)
	}
	if shown := on.save(typed); !strings.Contains(shown, "<code>"+string(fault.Rejected)+"</code>") {
		t.Errorf("a wrong password: %.2000s", shown)
	}
	typed["Password"] = readSecret(t, provider.password)
	if shown := on.save(typed); !strings.Contains(shown, "has taken this PBX") {
		t.Fatalf("%.2000s", shown)
	}
	provider.connected("3631A20C0047")
	if state, all := on.says(); state != string(manage.Connected) {
		t.Errorf("the page shows %s", all)
	}
	// It belongs to us: another account's people, and their code, do not get it.
	nora := provider.noConnectionsLeft(t)
	typed["Email"], typed["Password"] = "nora@example.com", "Nora's password"
	if shown := on.save(typed); !strings.Contains(shown, "<code>"+string(fault.DeviceClaimed)+"</code>") {
		t.Errorf("by somebody of another account: %.2000s", shown)
	}
	stranger, _ := provider.pbx(pbxsim.Config{}, "", "3631A20C0042", "3631A20C0048")
	page.follow(stranger, "Start the agent")
	typed["Email"], typed["Password"], typed["Serial Number"] = "you@example.com", readSecret(t, provider.password), "3631A20C0048"
	if shown := stranger.openPBX().save(typed); !strings.Contains(shown, "<code>"+string(fault.NoConnections)+"</code>") {
		t.Errorf("without a connection left: %.2000s", shown)
	}
	if err := provider.owner.RemoveReseller(t.Context(), nora); err != nil { // takes them back
		t.Fatal(err)
	}
}

// noConnectionsLeft gives all that are left to a reseller, whose owner is Nora.
func (p *provider) noConnectionsLeft(t *testing.T) id.Account {
	t.Helper()
	s, err := p.owner.Subscription(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	north, err := p.owner.AddReseller(t.Context(), controlapi.NewReseller{Name: "North", Connections: s.Connections - s.Used, Email: "nora@example.com", Person: "Nora"})
	if err != nil {
		t.Fatal(err)
	}
	p.accept(north.Invitation.Token, "Nora's password")
	return north.Reseller.ID
}

// Each row of the page's table that a stranger PBX can run into.
func refusals(t *testing.T, page *page, provider *provider, usedCode string) {
	m, _ := provider.pbx(pbxsim.Config{}, "", "VC0N-N3RS-1AY5-6R5Y", usedCode, "3631A20C0042", "3631A20C0044")
	m.write("/etc/trunkline/wrong", "not the password\n")
	email, code := page.block("By e-mail", "sh", 0), page.block("By authentication code", "sh", 0)
	for _, c := range []struct {
		code    fault.Code
		command string
	}{
		{fault.Rejected, code},
		{fault.Rejected, strings.TrimSpace(email) + " --password-file /etc/trunkline/wrong"},
		{fault.ModelRefused, strings.Replace(email, "P-Series Software Edition", "S50", 1)},
		{fault.FirmwareOld, strings.Replace(email, "83.19.0.110", "83.18.0.1", 1)},
	} {
		m.refused(c.command, c.code)
	}
	_, table, _ := strings.Cut(page.text, "## If it does not connect")
	for _, m := range regexp.MustCompile("`([a-z]+(_[a-z]+)+|rejected)`").FindAllStringSubmatch(table, -1) {
		if m[1] != "other_models" && !slices.Contains(fault.Codes(), fault.Code(m[1])) {
			t.Errorf("%s is no code", m[1])
		}
	}
}

// refused: the provider says no, and why.
func (m *machine) refused(command string, code fault.Code) {
	m.t.Helper()
	out, err := m.run(command)
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 3 || !strings.Contains(out, string(code)) {
		m.t.Errorf("%s: %v\n%s", code, err, out)
	}
}

// connected waits until the list of devices shows sn connected.
func (p *provider) connected(sn string) controlapi.Device {
	p.t.Helper()
	q := controlapi.DeviceQuery{DeviceFilter: controlapi.DeviceFilter{Search: sn}}
	return p.devices(q, func(found []controlapi.Device) bool {
		return len(found) == 1 && found[0].Status == controlapi.StatusConnected
	})[0]
}

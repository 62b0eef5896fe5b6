package cmd_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trunkline/control/license"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/pbxsim"
)

// licenceFor is control's settings with a licence for n connections that ends
// in so many days.
func licenceFor(t *testing.T, n, days int) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Second)
	b, err := license.Issue(private, license.License{
		Holder: "Acme", Plan: "standard", Connections: n, NotBefore: now.AddDate(-1, 0, 0), Expires: now.AddDate(0, 0, days),
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "licence")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("license_file: %q, license_key: %q, ", file, base64.StdEncoding.EncodeToString(public))
}

// Somebody sells a licence, installs it, gives some of it to a reseller and
// lets it end, by docs/subscription.md.
func TestSubscriptionPage(t *testing.T) {
	t.Parallel()
	page, seller := followPage(t, "subscription.md"), newMachine(t, nil)
	shown := page.follow(seller, "Make the signing key")
	key := strings.TrimSpace(shown[strings.Index(shown, "\n"):])
	setting := strings.Replace(strings.TrimPrefix(page.block("Make the signing key", "yaml", 0), "control:\n"), "...", key, 1)
	provider := newProvider(t, strings.TrimSpace(setting)+", ")
	page.follow(seller, "Issue a licence")

	_, table, _ := strings.Cut(page.text, "## What happens at the end")
	says := func(warning, want string) {
		t.Helper()
		if !strings.Contains(table, want) || !strings.Contains(warning, want) {
			t.Errorf("the page or %q does not say %q", warning, want)
		}
	}
	// Of those in force the one that began last counts, so they come in this order.
	late, err := provider.install(seller, -100, -3, 500)
	if err != nil || !late.Grace {
		t.Errorf("in its days of grace: %+v, %v", late, err)
	}
	says(late.Warning, "Everything goes on until")
	soon, err := provider.install(seller, -50, 30, 500)
	if err != nil {
		t.Error(err)
	}
	says(soon.Warning, "The licence expires in 30 days")
	if _, err := provider.install(seller, -100, -20, 500); fault.CodeOf(err) != fault.LicenceInvalid {
		t.Errorf("one that is over: %v", err)
	}

	admin := provider.desk(seller.root, "account:read", "account:write")
	page.follow(admin, "Upload it")
	page.follow(admin, "See what is used")
	page.follow(admin, "Give connections to a reseller")

	connect := openPage(t, "connect.md")
	one, _ := provider.pbx(pbxsim.Config{}, "")
	connect.follow(one, "Start the agent")
	connect.follow(one, "By e-mail")
	connected := provider.connected("3631A20C0042")
	small, err := provider.install(seller, 0, 365, 1)
	if err != nil {
		t.Error(err)
	}
	says(small.Warning, "connections are in use or given to resellers")
	two, _ := provider.pbx(pbxsim.Config{}, "", "3631A20C0042", "3631A20C0043")
	two.refused(connect.block("By e-mail", "sh", 0), fault.NoConnections)
	provider.visit(connected).shows(t, "Sign in")
}

// The last row of what happens at a licence's end: 14 days after it.
func TestSubscriptionPageOver(t *testing.T) {
	t.Parallel()
	provider := newProvider(t, licenceFor(t, 500, -15))
	s, err := provider.owner.Subscription(t.Context())
	if want := "its days of grace are over"; err != nil || !strings.Contains(s.Warning, want) || !strings.Contains(openPage(t, "subscription.md").text, want) {
		t.Errorf("%+v, %v", s, err)
	}
	m, _ := provider.pbx(pbxsim.Config{}, "")
	m.refused(openPage(t, "connect.md").block("By e-mail", "sh", 0), fault.LicenceExpired)
}

// install issues a licence as the page does, from and until some days from now,
// and uploads it.
func (p *provider) install(seller *machine, from, until, connections int) (controlapi.Subscription, error) {
	p.t.Helper()
	day := func(n int) string { return time.Now().UTC().AddDate(0, 0, n).Format(time.DateOnly) }
	command := fmt.Sprintf("trunkline license issue --key licence.key --holder Acme --connections %d --expires %s", connections, day(until))
	if from != 0 { // else it begins now, and not at midnight
		command += " --not-before " + day(from)
	}
	out, err := seller.run(command)
	if err != nil {
		p.t.Fatal(err, out)
	}
	return p.owner.InstallLicence(p.t.Context(), out)
}

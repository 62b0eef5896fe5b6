package cmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"trunkline/internal/controlapi"
	"trunkline/loadtest/scenarios"
)

// docs/loadtest.md is followed, on an installation of the test's own and on one
// that runs.
func TestLoadtestPage(t *testing.T) {
	t.Parallel()
	page := followPage(t, "loadtest.md")
	for _, name := range scenarios.Names() {
		if !strings.Contains(page.text, "`"+name+"`") {
			t.Errorf("scenario %s is not in the page", name)
		}
	}
	provider := newProvider(t, "")
	token, err := provider.owner.AddToken(t.Context(), controlapi.NewToken{
		Name: "load test", Scopes: []string{"devices:read", "devices:write", "visits:write"}, LifeSeconds: 3600,
	})
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine(t, []string{"SSL_CERT_FILE=" + provider.ca(), "NO_PROXY=localhost"},
		"https://console.pbx.example.com", "https://"+provider.address, " --duration ", " --admin off --duration ")
	for name, text := range map[string]string{"mine.yaml": page.block("A scenario of your own", "yaml", 0), "token": token.Secret + "\n"} {
		if err := os.WriteFile(filepath.Join(m.root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	page.follow(m, "Try it")
	page.follow(m, "A scenario of your own")
	page.follow(m, "On an installation that runs")
	for _, name := range []string{"before.json", "before.html", "after.json"} {
		if i, err := os.Stat(filepath.Join(m.root, name)); err != nil || i.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	provider.devices(controlapi.DeviceQuery{}, func(left []controlapi.Device) bool { return len(left) == 0 })
}

package cmd_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/pgtest"
)

// An installation is backed up, restored while it runs, and moved to
// PostgreSQL, by docs/database.md.
func TestDatabasePage(t *testing.T) {
	t.Parallel()
	page := followPage(t, "database.md")
	if _, err := exec.LookPath("pg_dump"); err != nil && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	moved, restored := pgtest.URL(t), pgtest.URL(t)
	provider := newProvider(t, "")
	m := newMachine(t, nil, "/var/lib/trunkline", provider.data,
		"postgres://trunkline@db.example.com/trunkline", moved, "postgres://trunkline@db.example.com/restored", restored)

	group := func(name string) {
		t.Helper()
		if _, err := provider.owner.AddGroup(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	groups := func() (names string) {
		t.Helper()
		list, err := provider.owner.Groups(t.Context(), controlapi.PageQuery{})
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range list.Items {
			names += g.Name + " "
		}
		return names
	}
	group("before")
	if shown := page.follow(m, "Back up SQLite"); shown != "" {
		t.Errorf("all is well, and it shows %q", shown)
	}
	group("after")
	_, kept, _ := strings.Cut(page.follow(m, "Restore SQLite"), "What was there is now ")
	if _, err := provider.owner.Groups(t.Context(), controlapi.PageQuery{}); fault.CodeOf(err) != fault.SignInNeeded {
		t.Errorf("after a restore everybody signs in again: %v", err)
	}
	provider.owner = provider.signIn("you@example.com", readSecret(t, provider.password))
	if got := groups(); got != "before " {
		t.Errorf("restored: %q", got)
	}
	// To take it back.
	if out, err := m.run("trunkline admin restore --data /var/lib/trunkline " + strings.TrimSuffix(strings.TrimSpace(kept), ".")); err != nil {
		t.Fatal(err, out)
	}
	provider.owner = provider.signIn("you@example.com", readSecret(t, provider.password))
	if got := groups(); got != "after before " {
		t.Errorf("taken back: %q", got)
	}
	page.follow(m, "Fill one for trials")

	provider.up.stop(os.Interrupt)
	page.follow(m, "Move to PostgreSQL")
	database := strings.TrimSpace(strings.TrimPrefix(page.block("Move to PostgreSQL", "yaml", 0), "control:\n"))
	provider.run(m.to.Replace(database) + ", ")
	if found, err := provider.owner.Devices(t.Context(), controlapi.DeviceQuery{}); err != nil || groups() != "after before " || found.Total == 0 {
		t.Errorf("moved: %d devices, %q, %v", found.Total, groups(), err)
	}
	page.follow(m, "Back up PostgreSQL")
}

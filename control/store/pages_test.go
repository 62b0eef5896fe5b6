package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"trunkline/control"
	"trunkline/control/api"
	"trunkline/control/fleet"
	"trunkline/control/store"
	"trunkline/internal/bus"
	"trunkline/internal/id"
	"trunkline/internal/pgtest"
)

// pages are the console's pages, and what the API lists beside devices.
var pages = []struct {
	name string
	ask  func(*testing.B, *benched)
}{
	{"overview", page("/overview")},
	{"my devices", page("/")},
	{"my devices, connected", page("/?status=connected")},
	{"my devices, by since", page("/?sort=since")},
	{"my devices, search", page("/?q=hotel")},
	{"my devices of a technician", asTechnician("/")},
	{"my devices of a technician, by since", asTechnician("/?sort=since&desc=1")},
	{"my devices of a technician, search", asTechnician("/?q=hotel")},
	{"my devices of a technician, search all", asTechnician("/?q=trial")},
	{"my devices of an auditor", asAuditor("/")},
	{"user devices", page("/user-devices")},
	{"user devices, search", page("/user-devices?q=hotel")},
	{"a device", page("/devices/{device}")},
	{"visits", page("/visits")},
	{"visits of a technician", asTechnician("/visits")},
	{"audit", page("/audit")},
	{"audit, a day", page("/audit?from_day={day}&to_day={day}")},
	{"audit, today", page("/audit?from_day={today}")},
	{"audit, refused", page("/audit?outcome=refused")},
	{"audit, an action", page("/audit?action=device.activate")},
	{"audit, an action of a day", page("/audit?action=device.activate&outcome=ok&from_day={day}&to_day={day}")},
	{"audit, a person", page("/audit?actor=nobody%40example.com")},
	{"audit, search", page("/audit?q=000777")},
	{"audit, search much", page("/audit?q=hotel")},
	{"audit, search the oldest", page("/audit?q={oldest}")},
	{"audit, search a day", page("/audit?q=hotel&from_day={day}&to_day={day}")},
	{"people", page("/people")},
	{"resellers", page("/resellers")},
	{"groups", page("/groups")},
	{"roles", page("/roles/technician")},
	{"my subscription", page("/subscription")},
	{"myself", page("/me")},
	{"api: overview", page("/api/v1/overview")},
	{"api: subscription", page("/api/v1/subscription")},
	{"api: a device", page("/api/v1/devices/{device}")},
	{"api: a device's events", page("/api/v1/devices/{device}/events")},
	{"api: visits", page("/api/v1/visits")},
	{"api: visits now", page("/api/v1/visits?live=true")},
	{"api: visits of a device", page("/api/v1/visits?device={device}")},
	{"api: audit", page("/api/v1/audit")},
	{"api: groups", page("/api/v1/groups")},
	{"api: resellers", page("/api/v1/resellers")},
	{"api: people", page("/api/v1/users")},
}

func page(address string) func(*testing.B, *benched) {
	return func(b *testing.B, f *benched) { f.get(b, f.owner, address) }
}

// A technician may see one group of ten alone, an auditor all but that.
func asTechnician(address string) func(*testing.B, *benched) {
	return func(b *testing.B, f *benched) { f.get(b, f.technician, address) }
}

func asAuditor(address string) func(*testing.B, *benched) {
	return func(b *testing.B, f *benched) { f.get(b, f.auditor, address) }
}

// benched is a database and the control that serves it.
type benched struct {
	*store.Store
	root                       id.Account
	url                        string
	owner, technician, auditor string // sessions
	names                      *strings.Replacer
	entries                    int    // of the audit log
	oldest                     string // what the oldest tenth of them have in them
}

// benchGroup is one of ten; half of the devices are in them.
func benchGroup(n int) id.Group { return id.Group("grp_" + strings.Repeat(string(rune('0'+n)), 16)) }

const benchPassword = "correct horse battery"

// filled is a database with so many devices, half of them in ten groups, and a
// control, which does not run: to one that does, devices that have no tunnel are
// not connected.
func filled(b *testing.B, database string, devices, resellers int) *benched {
	b.Helper()
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	cfg := control.Default()
	cfg.Data, cfg.Listen, cfg.Limits = b.TempDir(), "", api.Limits{}
	open := func() (*store.Store, error) {
		return store.OpenSQLite(b.Context(), filepath.Join(cfg.Data, store.FileName), zap.NewNop())
	}
	if database == "postgres" {
		cfg.Database = pgtest.URL(b)
		open = func() (*store.Store, error) { return store.OpenPostgres(b.Context(), cfg.Database, zap.NewNop()) }
	}
	must(os.WriteFile(filepath.Join(cfg.Data, control.PasswordFile), []byte(benchPassword), 0o600))
	own, err := bus.Open(b.Context(), bus.Config{}, zap.NewNop())
	must(err)
	b.Cleanup(func() { own.Close() })
	c, err := control.New(b.Context(), control.Options{Config: cfg, Bus: own, Log: zap.NewNop(), Registerer: prometheus.NewRegistry()})
	must(err)
	b.Cleanup(func() { c.Close() })
	f := &benched{entries: devices}
	f.Store, err = open()
	must(err)
	b.Cleanup(func() {
		if err := f.Close(); err != nil {
			b.Error(err)
		}
	})
	now := time.Now()
	must(f.View(b.Context(), func(tx fleet.Tx) error {
		root, err := tx.Root()
		f.root = root.ID
		return err
	}))
	must(f.Seed(b.Context(), devices, resellers, now, func(int) {}))
	must(f.Tx(b.Context(), func(tx fleet.Tx) error {
		for i := range 10 {
			if err := tx.AddGroup(fleet.Group{ID: benchGroup(i), Account: f.root, Name: fmt.Sprint("Group ", i), Created: now}); err != nil {
				return err
			}
		}
		seen := map[id.Group]fleet.Rights{"": 0, benchGroup(2): fleet.See}
		unseen := map[id.Group]fleet.Rights{"": fleet.See, benchGroup(2): 0}
		return errors.Join(tx.SetRoleRights(f.root, fleet.RoleTechnician, seen), tx.SetRoleRights(f.root, fleet.RoleAuditor, unseen))
	}))
	for i := range 10 {
		must(store.Group(b.Context(), f.Store, f.root, benchGroup(i), fmt.Sprintf("%%%d_", i)))
	}
	must(errors.Join(f.IndexTexts(b.Context()), f.AddUpCounts(b.Context()), store.Analyze(b.Context(), f.Store))) // as control and autovacuum do
	srv := httptest.NewServer(c)
	b.Cleanup(srv.Close)
	f.url = srv.URL
	f.signIn(b, c.Fleet(), cfg.FirstAdmin)
	var device fleet.Page[fleet.Device]
	must(f.View(b.Context(), func(tx fleet.Tx) (err error) {
		device, err = tx.Devices(f.root, fleet.DeviceQuery{Limit: 1, Seen: everything})
		return err
	}))
	f.oldest = oldest(devices)
	f.names = strings.NewReplacer("{device}", string(device.Items[0].ID), "{today}", now.UTC().Format(time.DateOnly), "{day}", now.UTC().Add(-time.Second*time.Duration(devices)).Format(time.DateOnly),
		"{oldest}", url.QueryEscape(f.oldest))
	return f
}

// signIn signs in the owner, and a technician and an auditor whom it invites.
func (f *benched) signIn(b *testing.B, in *fleet.Fleet, email string) {
	b.Helper()
	from := netip.MustParseAddr("192.0.2.7")
	s, err := in.SignIn(b.Context(), email, benchPassword, from)
	if err != nil {
		b.Fatal(err)
	}
	p, err := in.Authenticate(b.Context(), s.Token)
	if err != nil {
		b.Fatal(err)
	}
	for role, token := range map[fleet.Role]*string{fleet.RoleTechnician: &f.technician, fleet.RoleAuditor: &f.auditor} {
		inv, err := in.InviteUser(b.Context(), p, fleet.NewUser{Email: string(role) + "@example.com", Name: string(role), Role: role})
		if err != nil {
			b.Fatal(err)
		}
		theirs, err := in.AcceptInvitation(b.Context(), inv.Token, benchPassword, from)
		if err != nil {
			b.Fatal(err)
		}
		*token = theirs.Token
	}
	f.owner = s.Token
}

// get reads a page, or an answer of the API.
func (f *benched) get(b *testing.B, session, address string) {
	f.ask(b, session, address, func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err })
}

func (f *benched) decode(b *testing.B, address string, into any) {
	f.ask(b, f.owner, address, func(r io.Reader) error { return json.NewDecoder(r).Decode(into) })
}

func (f *benched) ask(b *testing.B, session, address string, read func(io.Reader) error) {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, f.url+f.names.Replace(address), nil)
	if err != nil {
		b.Fatal(err)
	}
	if strings.HasPrefix(address, "/api/") {
		r.Header.Set("Authorization", "Bearer "+session)
	} else {
		r.Header.Set("Cookie", (&http.Cookie{Name: "__Host-trunkline-session", Value: session}).String())
	}
	resp, err := http.DefaultTransport.RoundTrip(r) // it follows nobody to the sign-in
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	if err := read(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		b.Fatalf("%s: %s, %v", address, resp.Status, err)
	}
}

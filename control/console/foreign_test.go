package console_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"

	"trunkline/control/console"
	"trunkline/control/fleet"
	"trunkline/control/license"
	"trunkline/control/store"
	"trunkline/control/store/storetest"
	"trunkline/internal/bus"
	"trunkline/internal/controlapi"
	"trunkline/internal/id"
	"trunkline/internal/token"
	"trunkline/internal/tunnel"
)

var remoteAddr = netip.MustParseAddr("198.51.100.20")

// realFleet is the fleet on a real database, without relays.
func realFleet(t *testing.T) (*fleet.Fleet, *store.Store) {
	t.Helper()
	st := storetest.SQLite(t, zaptest.NewLogger(t))
	return realFleetOn(t, st), st
}

func realFleetOn(t *testing.T, st *store.Store) *fleet.Fleet {
	t.Helper()
	log := zaptest.NewLogger(t)
	f := must(fleet.New(fleet.Options{
		Store: st, Log: log, Registerer: prometheus.NewRegistry(), License: license.Trial, Zone: "relay.example",
		PutHandover: func(context.Context, string, bus.Handover) error { return nil },
		Revoke:      func(context.Context, string, bus.Revocation) error { return nil },
		PublishKeys: func(context.Context, fleet.Published) error { return nil },
		Relays: func(id.Device, string) []tunnel.Place {
			return []tunnel.Place{{Relay: "relay-1", Addr: "relay-1.relay.example:8443"}}
		},
	}))(t)
	must(f.Init(t.Context(), goodEmail, "Ada", goodSecret))(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return f
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// estate is what an account has: one of each.
type estate struct {
	fleet.Principal
	session string
	ids     *strings.Replacer // puts its ids into a route's pattern
	form    url.Values        // that names them in every field
	words   []string          // that nobody else may read
	below   id.Account
	device  id.Device
}

// settle fills an account with one of each.
func settle(t *testing.T, f *fleet.Fleet, st *store.Store, s fleet.Session, tag string) estate {
	t.Helper()
	ctx := t.Context()
	p := must(f.Authenticate(ctx, s.Token))(t)
	pub, priv, _ := ed25519.GenerateKey(rand.Reader)
	serial := id.Serial("SN-" + strings.ToUpper(tag))
	branch := must(f.AddGroup(ctx, p, "Group of "+tag))(t)
	g := must(f.Activate(ctx, fleet.Activation{
		Serial: serial, Model: "P-Series Appliance Edition", Firmware: "37.20.0.1", Key: pub, Proof: controlapi.ActivationProof(priv, serial),
		Email: p.Email, Password: goodSecret,
	}))(t)
	name := "PBX of " + tag
	must(f.EditDevice(ctx, p, g.Device, fleet.DeviceEdit{Name: &name, Group: &branch.ID}))(t)
	guest := must(f.InviteUser(ctx, p, fleet.NewUser{Email: "guest@" + tag + ".example", Name: "Guest of " + tag, Role: fleet.RoleTechnician}))(t).User
	tok, _, err := f.AddToken(ctx, p, fleet.NewToken{Name: "Token of " + tag, Scopes: fleet.Scopes(), Life: time.Hour})
	below, _, err2 := f.AddReseller(ctx, p, fleet.NewReseller{Name: "Below " + tag, Email: "owner@below." + tag + ".example", Person: "Owner below " + tag})
	v := fleet.Visit{DeviceName: name, Visit: token.Visit{
		ID: id.NewVisit(), Site: g.Site, Device: g.Device, Account: p.Account, User: p.User, Who: "Visitor of " + tag,
		Method: token.MethodAccount, Idle: time.Minute, Started: time.Now(), Expires: time.Now().Add(time.Hour),
	}}
	err3 := st.Tx(ctx, func(tx fleet.Tx) error { return tx.AddVisit(v, "hash of "+tag) })
	for _, err := range []error{err, err2, err3} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return estate{
		Principal: p, session: s.Token, below: below.ID, device: g.Device,
		ids: strings.NewReplacer("{device}", string(g.Device), "{site}", string(g.Site), "{group}", string(branch.ID), "{user}", string(guest.ID),
			"{visit}", string(v.ID), "{account}", string(below.ID), "{token}", string(tok.ID), "{role}", "technician", "{$}", ""),
		form: url.Values{
			"id": {string(g.Device)}, "do": {"remove"}, "group": {string(branch.ID)}, "own": {string(branch.ID)}, "name": {"Mine now"}, "email": {"x@y.example"},
			"person": {"X"}, "role": {"auditor"}, "connections": {"1"}, "code_life": {"24h"},
		},
		words: []string{string(serial), name, "Group of " + tag, "guest@" + tag, "Guest of " + tag, "Token of " + tag, "Below " + tag, "owner@below." + tag, "Visitor of " + tag},
	}
}

// state is what the account's own people see of it.
func (e estate) state(t *testing.T, f *fleet.Fleet) string {
	t.Helper()
	ctx, p := t.Context(), e.Principal
	return fmt.Sprintf("%+v\n%+v\n%+v\n%+v\n%+v\n%+v\n%+v\n%+v",
		must(f.Device(ctx, p, e.device))(t), must(f.Groups(ctx, p))(t), must(f.Users(ctx, p, fleet.ListQuery{Limit: 50}))(t), must(f.RoleRights(ctx, p))(t),
		must(f.Reseller(ctx, p, e.below))(t), must(f.Visits(ctx, p, fleet.VisitQuery{Limit: 50}))(t), must(f.Tokens(ctx, p, "", 50))(t),
		must(f.Audit(ctx, p, fleet.AuditQuery{Limit: 200}))(t).Total)
}

// Whoever has another account's ids finds nothing by them, on any page, and
// changes nothing: neither upwards nor sideways in the tree.
func TestNothingOfAnotherAccount(t *testing.T) {
	f, st := realFleet(t)
	ctx := t.Context()
	h := must(console.New(console.Options{Fleet: f, Zone: "relay.example", Port: ":8443"}))(t)
	top := must(f.SignIn(ctx, goodEmail, goodSecret, remoteAddr))(t)
	owner := must(f.Authenticate(ctx, top.Token))(t)
	reseller := func(tag string) fleet.Session {
		_, i, err := f.AddReseller(ctx, owner, fleet.NewReseller{Name: tag, Connections: 5, Email: tag + "@" + tag + ".example", Person: tag})
		if err != nil {
			t.Fatal(err)
		}
		return must(f.AcceptInvitation(ctx, i.Token, goodSecret, remoteAddr))(t)
	}
	root := settle(t, f, st, top, "root")
	f.ApplyLease(bus.Lease{Relay: "relay-of-root", Region: "region-of-root", Labels: map[string]string{"rack": "label-of-root"}, Started: time.Now()})
	root.words = append(root.words, "relay-of-root", "region-of-root", "label-of-root")
	if seen := ask(h, "GET", "/relays", nil, header("Cookie", "__Host-trunkline-session="+top.Token)).Body.String(); !strings.Contains(seen, "relay-of-root") {
		t.Error("the installation's owner does not see its relay")
	}
	ben, carl := settle(t, f, st, reseller("ben"), "ben"), settle(t, f, st, reseller("carl"), "carl")
	for name, pair := range map[string][2]estate{"upwards": {ben, root}, "sideways": {carl, ben}} {
		t.Run(name, func(t *testing.T) { trespass(t, f, h, pair[0], pair[1]) })
	}
}

// An address that somebody made up is no fault of ours.
func TestExportOfNoFormat(t *testing.T) {
	for _, path := range []string{"/devices/export", "/devices/export?format=exe"} {
		if w := ask(newConsole(t, sample()), "GET", path, nil); w.Code != http.StatusBadRequest || w.Header().Get("Content-Disposition") != "" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
}

// apart end the visitor's own session, or are the visitor's own.
var apart = map[string]bool{"POST /sign-out": true, "POST /sign-in": true, "POST /me/password": true, "GET /live": true, "/": true}

func trespass(t *testing.T, f *fleet.Fleet, h http.Handler, visitor, victim estate) {
	before := victim.state(t, f)
	found := 0
	for _, r := range console.RoutesForTest(h) {
		if apart[r.Pattern] || r.Public {
			continue
		}
		method, path, _ := strings.Cut(r.Pattern, " ")
		at := victim.ids.Replace(path)
		if method == http.MethodGet {
			at += "?" + url.Values{
				"group": victim.form["group"], "account": {string(victim.below)}, "format": {"csv"}, "device": {string(victim.device)}, "user": {string(victim.User)},
			}.Encode()
		}
		w := ask(h, method, at, victim.form, header("Cookie", "__Host-trunkline-session="+visitor.session))
		for _, word := range victim.words {
			if strings.Contains(w.Body.String(), word) {
				t.Errorf("%s tells %q", r.Pattern, word)
			}
		}
		if w.Code >= 500 || strings.HasPrefix(w.Header().Get("Location"), "/sign-in") {
			t.Errorf("%s: %d to %q", r.Pattern, w.Code, w.Header().Get("Location"))
		}
		if !strings.Contains(strings.NewReplacer("{role}", "", "{$}", "").Replace(path), "{") {
			continue
		}
		found++
		// Who has no visits that one sees is sent back to the list.
		if w.Code != 404 && r.Pattern != "GET /visits/of/{user}/end" {
			t.Errorf("%s: %d", r.Pattern, w.Code)
		}
	}
	if found < 25 {
		t.Errorf("only %d routes had another's ids: the walk is broken", found)
	}
	if d := cmp.Diff(before, victim.state(t, f)); d != "" {
		t.Errorf("the other account has changed:\n%s", d)
	}
	for _, list := range []string{"", "all", "visits"} {
		eavesdrop(t, f, h, visitor, victim, list)
	}
}

// eavesdrop listens for another account's device, by its id: what is told up to
// the visitor's own device, which changes after it, has nothing of it.
func eavesdrop(t *testing.T, f *fleet.Fleet, h http.Handler, visitor, victim estate, list string) {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	at := srv.URL + "/live?" + url.Values{"id": {string(victim.device), string(visitor.device)}, "list": {list}}.Encode()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r := must(http.NewRequestWithContext(ctx, http.MethodGet, at, nil))(t)
	r.Header.Set("Cookie", "__Host-trunkline-session="+visitor.session)
	resp := must(srv.Client().Do(r))(t)
	defer resp.Body.Close()
	told, changed := "", false
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		told += lines.Text() + "\n"
		if lines.Text() == "" && !changed {
			changed = true
			comment := "as seen at " + list
			must(f.EditDevice(ctx, victim.Principal, victim.device, fleet.DeviceEdit{Comment: &comment}))(t)
			must(f.EditDevice(ctx, visitor.Principal, visitor.device, fleet.DeviceEdit{Comment: &comment}))(t)
		}
		if strings.Contains(told, string(visitor.device)) {
			break
		}
	}
	if !strings.Contains(told, string(visitor.device)) {
		t.Errorf("/live of %q told nothing, %q: the walk is broken", list, told)
	}
	for _, word := range append(victim.words, string(victim.device)) {
		if strings.Contains(told, word) {
			t.Errorf("/live of %q tells %q", list, word)
		}
	}
}

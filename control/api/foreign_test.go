package api_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trunkline/control/fleet"
	"trunkline/internal/bus"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
)

// estate is what an account has: one of each.
type estate struct {
	client *controlapi.Client
	token  string
	ids    map[string]string // by what the document's examples have in their place
	words  []string          // that nobody else may read
}

// settle fills an account with one of each.
func settle(t *testing.T, w *realWorld, s controlapi.Session, tag string) estate {
	t.Helper()
	ctx := t.Context()
	e := estate{client: w.client(t).WithToken(s.Token), token: s.Token}
	pub, priv, _ := ed25519.GenerateKey(rand.Reader)
	serial := id.Serial("SN-" + strings.ToUpper(tag))
	g := must(e.client.Activate(ctx, controlapi.ActivationRequest{
		Serial: serial, Model: "P-Series Appliance Edition", Firmware: "37.20.0.1", PublicKey: pub,
		Proof: controlapi.ActivationProof(priv, serial), Email: s.User.Email, Password: password,
	}))(t)
	branch := must(e.client.AddGroup(ctx, "Group of "+tag))(t).Value
	name, choice := "PBX of "+tag, controlapi.GroupChoice(branch.ID)
	must(e.client.EditDevice(ctx, g.Device, controlapi.DeviceEdit{Name: &name, Group: &choice}))(t)
	must(e.client.AddDevice(ctx, controlapi.NewDevice{Name: "Record of " + tag, Comment: "Comment of " + tag}))(t)
	u := must(e.client.InviteUser(ctx, controlapi.NewUser{Email: "guest@" + tag + ".example", Name: "Guest of " + tag, Role: "technician"}))(t).User
	secret := must(e.client.AddToken(ctx, controlapi.NewToken{Name: "Token of " + tag, Scopes: []string{"devices:read"}, LifeSeconds: 3600}))(t)
	below := must(e.client.AddReseller(ctx, controlapi.NewReseller{Name: "Below " + tag, Email: "owner@below." + tag + ".example", Person: "Owner below " + tag}))(t).Reseller
	v := fleet.Visit{DeviceName: name, Visit: token.Visit{
		ID: id.NewVisit(), Site: g.Site, Device: g.Device, Account: s.Account.ID, User: s.User.ID, Who: "Visitor of " + tag,
		Method: token.MethodAccount, Idle: time.Minute, Started: time.Now(), Expires: time.Now().Add(time.Hour),
	}}
	if err := w.store.Tx(ctx, func(tx fleet.Tx) error {
		v.Opened = v.Started
		if err := tx.AddVisit(v, "hash of "+tag); err != nil {
			return err
		}
		return tx.UpdateVisit(v)
	}); err != nil {
		t.Fatal(err)
	}
	e.ids = map[string]string{
		"dev_0123456789abcdef": string(g.Device), "grp_0123456789abcdef": string(branch.ID), "usr_0123456789abcdef": string(u.ID),
		"tok_0123456789abcdef": string(secret.Token.ID), "acc_0123456789abcdef": string(below.ID), "vis_0123456789abcdef": string(v.ID),
		"pbx-0123abcd": string(g.Site),
	}
	e.words = []string{
		string(serial), name, "Record of " + tag, "Comment of " + tag, "Group of " + tag, "guest@" + tag, "Guest of " + tag, "Token of " + tag,
		"Below " + tag, "owner@below." + tag, "Owner below " + tag, "Visitor of " + tag,
	}
	if s.Account.Parent != "" { // who acts from above is in the audit of the account below
		e.words = append(e.words, s.User.Email)
	}
	return e
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

func (e estate) in(s string) string {
	for example, real := range e.ids {
		s = strings.ReplaceAll(s, example, real)
	}
	return s
}

// state is all that the account's own people see of it, but for the audit,
// which others' refusals may not be in either.
func (e estate) state(t *testing.T) string {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	var out bytes.Buffer
	if err := e.client.ExportAudit(ctx, controlapi.AuditFilter{}, &out); err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{
		must(e.client.Devices(ctx, controlapi.DeviceQuery{}))(t), must(e.client.Groups(ctx, controlapi.PageQuery{}))(t),
		must(e.client.Users(ctx, controlapi.ListQuery{}))(t), must(e.client.Tokens(ctx, controlapi.PageQuery{}))(t), must(e.client.Roles(ctx))(t),
		must(e.client.Reseller(ctx, id.Account(e.ids["acc_0123456789abcdef"])))(t), must(e.client.Visits(ctx, controlapi.VisitQuery{}))(t),
		must(e.client.Subscription(ctx))(t), must(e.client.Device(ctx, id.Device(e.ids["dev_0123456789abcdef"])))(t),
		must(e.client.DeviceEvents(ctx, id.Device(e.ids["dev_0123456789abcdef"]), controlapi.PageQuery{}))(t),
	} {
		out.WriteString(encoded(t, v) + "\n")
	}
	return out.String()
}

// apart are not the walk's: they are for nobody's account, end its session, or
// last for ever.
var apart = []string{
	"acceptInvitation", "activate", "changePassword", "getInvitation", "getOpenAPI", "renewPass", "signIn", "signOut", "watchDevices",
}

// filtering are those where another's id selects nothing.
var filtering = []string{"listDevices", "exportDevices", "listVisits", "removeDevices"}

// Whoever has another account's ids finds nothing by them, at any endpoint, and
// changes nothing: neither upwards nor sideways in the tree.
func TestNothingOfAnotherAccount(t *testing.T) {
	w := newRealWorld(t)
	ctx := t.Context()
	owner := must(w.client(t).SignIn(ctx, "anna@example.com", password))(t)
	top := w.client(t).WithToken(owner.Token)
	reseller := func(tag string) controlapi.Session {
		r := must(top.AddReseller(ctx, controlapi.NewReseller{Name: tag, Connections: 5, Email: tag + "@example.com", Person: tag}))(t)
		return must(w.client(t).AcceptInvitation(ctx, r.Invitation.Token, password))(t)
	}
	root := settle(t, w, owner, "root")
	w.fleet.ApplyLease(bus.Lease{Relay: "relay-of-root", Region: "region-of-root", Labels: map[string]string{"rack": "label-of-root"}, Started: time.Now()})
	root.words = append(root.words, "relay-of-root", "region-of-root", "label-of-root")
	if seen := must(root.client.Relays(ctx, controlapi.RelayQuery{}))(t); len(seen.Items) != 1 || seen.Items[0].Name != "relay-of-root" {
		t.Errorf("the installation's owner sees %+v", seen.Items)
	}
	ben, carl := settle(t, w, reseller("ben"), "ben"), settle(t, w, reseller("carl"), "carl")
	for name, pair := range map[string][2]estate{"upwards": {ben, root}, "sideways": {carl, ben}} {
		t.Run(name, func(t *testing.T) { trespass(t, w, pair[0], pair[1]) })
	}
}

func trespass(t *testing.T, w *realWorld, visitor, victim estate) {
	before := victim.state(t)
	var found int
	for _, s := range specs(t, newWorld(t)) {
		if slices.Contains(apart, s.name) {
			continue
		}
		body := ""
		if s.example != nil {
			body = encoded(t, s.example)
		}
		ask := func(change func(param) (string, bool)) {
			target, headers := s.request(change)
			rec := do(w, visitor.token, s.method, victim.in(target), victim.in(body), headers...)
			for _, word := range victim.words {
				if strings.Contains(rec.Body.String(), word) {
					t.Errorf("%s tells %q: %.300s", s.name, word, rec.Body)
				}
			}
			if victim.in(target+body) == target+body {
				return
			}
			found++
			if rec.Code != 404 && !(rec.Code == 200 && slices.Contains(filtering, s.name)) {
				t.Errorf("%s %s: %d %.300s", s.name, victim.in(target), rec.Code, rec.Body)
			}
		}
		ask(nil)
		if s.method == "GET" { // unfiltered, lists are at their longest
			ask(func(p param) (string, bool) { return "", p.required })
		}
	}
	if found < 25 {
		t.Errorf("only %d requests had another's ids: the walk is broken", found)
	}
	if diff := cmp.Diff(before, victim.state(t)); diff != "" {
		t.Errorf("the other account has changed:\n%s", diff)
	}
}

// removeDevices says of each device what became of it: nothing is told there
// either.
func TestBulkRemovalOfAnothersDevices(t *testing.T) {
	w := newRealWorld(t)
	ctx := t.Context()
	owner := must(w.client(t).SignIn(ctx, "anna@example.com", password))(t)
	root := settle(t, w, owner, "root")
	r := must(root.client.AddReseller(ctx, controlapi.NewReseller{Name: "Ben", Connections: 5, Email: "ben@example.com", Person: "Ben"}))(t)
	ben := w.client(t).WithToken(must(w.client(t).AcceptInvitation(ctx, r.Invitation.Token, password))(t).Token)
	theirs, nobodys := id.Device(root.ids["dev_0123456789abcdef"]), id.NewDevice()
	rs := must(ben.RemoveDevices(ctx, []id.Device{theirs, nobodys}))(t)
	if len(rs) != 2 || rs[0].Code != fault.NotFound || rs[1].Code != fault.NotFound || rs[0].Detail != rs[1].Detail {
		t.Errorf("%+v", rs)
	}
	if _, err := root.client.Device(ctx, theirs); err != nil {
		t.Error(err)
	}
}

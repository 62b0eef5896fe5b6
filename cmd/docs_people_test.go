package cmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
)

// A colleague comes, is confined to a group, forgets the password and leaves,
// and a reseller is beside, by docs/people.md.
func TestPeoplePage(t *testing.T) {
	t.Parallel()
	page, provider := followPage(t, "people.md"), newProvider(t, "")
	desk := provider.desk(t.TempDir(), "devices:write", "devices:read", "people:read", "people:write", "audit:read")
	for _, name := range []string{"Harbour Hotel", "Branch 7"} {
		if _, err := provider.owner.AddDevice(t.Context(), controlapi.NewDevice{Name: name}); err != nil {
			t.Fatal(err)
		}
	}

	shown := page.follow(desk, "Invite a colleague")
	_, link, _ := strings.Cut(strings.TrimSpace(shown), "/invitation/")
	tom := provider.accept(link, "Tom's password")
	provider.sees(tom, "Harbour Hotel", "Branch 7")
	for what, err := range map[string]error{
		"people": second(tom.Users(t.Context(), controlapi.ListQuery{})), "audit": second(tom.Audit(t.Context(), controlapi.AuditQuery{})),
		"add":    second(tom.AddDevice(t.Context(), controlapi.NewDevice{Name: "x"})),
		"invite": second(tom.InviteUser(t.Context(), controlapi.NewUser{Email: "x@example.com", Name: "X", Role: "auditor"})),
	} {
		if fault.CodeOf(err) != fault.Forbidden {
			t.Errorf("a technician, %s: %v", what, err)
		}
	}
	if _, err := provider.client.AcceptInvitation(t.Context(), link, "another password"); fault.CodeOf(err) != fault.InvitationInvalid {
		t.Errorf("a link works twice: %v", err)
	}
	page.follow(desk, "Rights by group")
	provider.sees(tom, "Harbour Hotel")

	page.follow(desk, "A forgotten password")
	if _, err := tom.Me(t.Context()); fault.CodeOf(err) != fault.SignInNeeded {
		t.Errorf("Tom's session: %v", err)
	}
	if _, err := provider.client.SignIn(t.Context(), "tom@example.com", "Tom's password"); fault.CodeOf(err) != fault.WrongLogin {
		t.Errorf("Tom's password: %v", err)
	}
	page.follow(desk, "Somebody leaves")
	page.follow(desk, "Who did what")
	refused, err := os.ReadFile(filepath.Join(desk.root, "refused.jsonl"))
	if err != nil || !strings.Contains(string(refused), `"forbidden"`) {
		t.Errorf("%v %s", err, refused)
	}
	provider.roles()
	provider.reseller()
}

// roles: what the table says of an admin, an auditor and the last owner.
func (p *provider) roles() {
	t := p.t
	t.Helper()
	people := map[string]*controlapi.Client{}
	for _, role := range []string{"admin", "auditor"} {
		invited, err := p.owner.InviteUser(t.Context(), controlapi.NewUser{Email: role + "@example.com", Name: "The " + role, Role: role})
		if err != nil {
			t.Fatal(err)
		}
		people[role] = p.accept(invited.Token, "the "+role+"'s password")
	}
	me, err := p.owner.Me(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	admin, auditor := people["admin"], people["auditor"]
	add := func(c *controlapi.Client, email, role string) error {
		return second(c.InviteUser(t.Context(), controlapi.NewUser{Email: email, Name: "New", Role: role}))
	}
	for what, x := range map[string]struct {
		err  error
		want fault.Code
	}{
		"an admin invites":               {add(admin, "one@example.com", "admin"), ""},
		"an admin makes an owner":        {add(admin, "two@example.com", "owner"), fault.Forbidden},
		"an admin removes an owner":      {admin.RemoveUser(t.Context(), me.User.ID), fault.Forbidden},
		"an auditor reads people":        {second(auditor.Users(t.Context(), controlapi.ListQuery{})), ""},
		"an auditor reads the audit":     {second(auditor.Audit(t.Context(), controlapi.AuditQuery{})), ""},
		"an auditor invites":             {add(auditor, "three@example.com", "auditor"), fault.Forbidden},
		"an auditor makes a group":       {second(auditor.AddGroup(t.Context(), "New")), fault.Forbidden},
		"the last owner removes himself": {p.owner.RemoveUser(t.Context(), me.User.ID), fault.LastOwner},
	} {
		if x.want == "" && x.err != nil || x.want != "" && fault.CodeOf(x.err) != x.want {
			t.Errorf("%s: %v", what, x.err)
		}
	}
}

// reseller: what the page says of one.
func (p *provider) reseller() {
	t := p.t
	t.Helper()
	north, err := p.owner.AddReseller(t.Context(), controlapi.NewReseller{Name: "North", Connections: 2, Email: "nora@example.com", Person: "Nora"})
	if err != nil {
		t.Fatal(err)
	}
	nora := p.accept(north.Invitation.Token, "Nora's password")
	added, err := nora.AddDevice(t.Context(), controlapi.NewDevice{Name: "Northern Light"})
	if err != nil {
		t.Fatal(err)
	}
	below, err := p.owner.Devices(t.Context(), controlapi.DeviceQuery{DeviceFilter: controlapi.DeviceFilter{Scope: "sub"}})
	if err != nil || len(below.Items) != 1 || below.Items[0].ID != added.Device.ID {
		t.Errorf("User Devices: %+v, %v", below.Items, err)
	}
	if _, err := p.owner.StartVisit(t.Context(), controlapi.VisitRequest{Device: added.Device.ID}); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("a reseller's PBX can be visited: %v", err)
	}
	if err := p.owner.RemoveReseller(t.Context(), north.Reseller.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := nora.Me(t.Context()); fault.CodeOf(err) != fault.SignInNeeded {
		t.Errorf("a removed reseller's people: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// accept is somebody who was invited, signed in.
func (p *provider) accept(token, password string) *controlapi.Client {
	p.t.Helper()
	session, err := p.client.AcceptInvitation(p.t.Context(), token, password)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.client.WithToken(session.Token)
}

// sees: these are somebody's devices, in any order.
func (p *provider) sees(c *controlapi.Client, want ...string) {
	p.t.Helper()
	found, err := c.Devices(p.t.Context(), controlapi.DeviceQuery{})
	if err != nil || len(found.Items) != len(want) {
		p.t.Fatalf("%+v, %v; want %q", found.Items, err, want)
	}
	for _, d := range found.Items {
		if !strings.Contains(strings.Join(want, ","), d.Name) {
			p.t.Errorf("sees %s, and should see %q", d.Name, want)
		}
	}
}

package testnet_test

import (
	"errors"
	"fmt"
	"html"
	"net/http"
	"slices"
	"strings"
	"testing"

	"trunkline/agent"
	"trunkline/agent/login"
	"trunkline/agent/manage"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/pbxsim"
	"trunkline/internal/testnet"
	"trunkline/internal/visitor"
)

const passwordless = "passwordless"

// formLogin is pbxsim's sign-in form.
func formLogin(c *agent.Config) {
	c.Portal.Login = login.Config{Adapter: login.Form, Form: login.FormConfig{
		Page: "/login", Action: "/login", UserField: "username", PasswordField: "password", TokenField: "csrf", PersonField: "on_behalf_of",
		User: testnet.SuperUser, Password: testnet.SuperPassword, Success: login.Success{Status: []int{303}, Cookie: "pbx_session"},
		Start: "/extensions",
	}}
}

// headerLogin is a header that pbxsim trusts.
func headerLogin(c *agent.Config) {
	c.Portal.Login = login.Config{Adapter: login.Header, Header: login.HeaderConfig{
		Name: "X-Remote-User", User: testnet.SuperUser, Person: "X-Remote-Person", Start: "/extensions",
	}}
}

func trusting(c *pbxsim.Config) { c.TrustedHeader, c.PersonHeader = "X-Remote-User", "X-Remote-Person" }

// letIn is a connected PBX that both sides let visitors into without a password.
func letIn(t *testing.T, w *testnet.World, adapter func(*agent.Config), portal *pbxsim.Portal) *testnet.PBX {
	t.Helper()
	p := w.Activate("3631A20C0042", portal.URL())
	p.Configure(adapter)
	p.Run()
	p.AwaitStatus(controlapi.StatusConnected)
	sides(t, w, p, true, true)
	return p
}

// sides sets the provider's option and the PBX's switch.
func sides(t *testing.T, w *testnet.World, p *testnet.PBX, provider, pbx bool) {
	t.Helper()
	if _, err := w.API.EditDevice(t.Context(), p.Device, controlapi.DeviceEdit{Passwordless: &provider}); err != nil {
		t.Fatal(err)
	}
	if err := p.Desk.Change(t.Context(), manage.Change{Passwordless: &pbx}); err != nil {
		t.Fatal(err)
	}
	w.Eventually("the provider knows of the switch", func() error {
		d, err := w.API.Device(t.Context(), p.Device)
		if err != nil {
			return err
		}
		if got := d.Logins != nil && d.Logins.Passwordless; got != pbx || d.Passwordless != provider {
			return fmt.Errorf("%+v, %v", d.Logins, d.Passwordless)
		}
		return nil
	})
}

func fetch(t *testing.T, v *visitor.Visitor, path string) string {
	t.Helper()
	b, err := v.Fetch(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return html.UnescapeString(string(b))
}

// The visitor is in as super administrator, and the PBX knows who it is.
func TestPasswordless(t *testing.T) {
	for name, c := range map[string]struct {
		adapter func(*agent.Config)
		portal  func(*pbxsim.Config)
	}{"form": {formLogin, nil}, "header": {headerLogin, trusting}} {
		t.Run(name, func(t *testing.T) {
			w := testnet.Start(t, nil)
			portal := w.Portal(c.portal)
			p := letIn(t, w, c.adapter, portal)
			v := p.VisitBy(passwordless)
			email, _ := w.Login()

			page := fetch(t, v, "/oplog") // the super administrator's alone
			if !strings.Contains(page, `id="whoami">`+testnet.SuperUser) || !strings.Contains(page, "Super administrator") || !strings.Contains(page, "<"+email+">") {
				t.Errorf("the portal's page is not the super administrator's:\n%s", page)
			}
			if !slices.ContainsFunc(portal.Operations(), func(o pbxsim.Operation) bool {
				return strings.HasPrefix(o.Who, testnet.SuperUser+" for ") && strings.Contains(o.Who, email)
			}) {
				t.Errorf("the PBX's log names nobody: %+v", portal.Operations())
			}
			ws, err := v.WebSocket(t.Context(), "/ws/calls") // for who is signed in
			if err != nil {
				t.Fatal(err)
			}
			defer ws.CloseNow()
			if _, _, err := ws.Read(t.Context()); err != nil {
				t.Error(err)
			}
			w.Eventually("the PBX's staff see who is in", func() error {
				view, err := p.Desk.View(t.Context())
				if err != nil {
					return err
				}
				if len(view.Now) != 1 || view.Now[0].Method != passwordless || !strings.Contains(view.Now[0].Who, email) {
					return fmt.Errorf("%+v", view.Now)
				}
				return nil
			})

			// A visit by account beside it is nobody at the portal, also if it
			// says otherwise.
			other := p.Visit()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, other.Origin+"/oplog", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-Remote-User", testnet.SuperUser)
			r.Header.Set("X_Remote_User", testnet.SuperUser)
			resp, err := other.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusFound {
				t.Errorf("a visitor by account got %d", resp.StatusCode)
			}
		})
	}
}

// Either side's switch keeps passwordless visits out, and the PBX's ends those
// that go on.
func TestPasswordlessIsRefused(t *testing.T) {
	w := testnet.Start(t, nil)
	p := letIn(t, w, formLogin, w.Portal(nil))
	out := p.VisitBy(passwordless)
	fetch(t, out, "/")
	ask := controlapi.VisitRequest{Device: p.Device, Method: passwordless}
	refused := func(says string) {
		t.Helper()
		if _, err := w.API.StartVisit(t.Context(), ask); fault.CodeOf(err) != fault.Forbidden || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	sides(t, w, p, false, true)
	refused("My Devices")
	isOut(t, w, out, fault.AccessWithdrawn)

	// Granted in time, and refused by the PBX when it is redeemed.
	sides(t, w, p, true, true)
	v := p.VisitBy(passwordless)
	fetch(t, v, "/")
	start, err := w.API.StartVisit(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	sides(t, w, p, true, false)
	refused("Remote Management page")
	late, err := visitor.New(w.TLS, v.Origin)
	if err != nil {
		t.Fatal(err)
	}
	defer late.CloseIdleConnections()
	resp, err := late.Redeem(t.Context(), w.Up.ConsoleURL(), start.URL, start.Handover)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden || len(resp.Cookies()) != 0 {
		t.Errorf("the late one got %s, %v", resp.Status, resp.Cookies())
	}
	isOut(t, w, v, fault.EndedByPBX)
}

// isOut waits until the visitor is.
func isOut(t *testing.T, w *testnet.World, v *visitor.Visitor, why fault.Code) {
	t.Helper()
	w.Eventually("the visitor is out", func() error {
		_, err := v.Fetch(t.Context(), "/")
		var s *visitor.StatusError
		if !errors.As(err, &s) || s.Status != http.StatusUnauthorized || !strings.Contains(s.Body, string(why)+`"`) {
			return fmt.Errorf("got %v", err)
		}
		return nil
	})
}

// A visit that the PBX's staff end is over everywhere, at once.
func TestPBXEndsAVisit(t *testing.T) {
	w := testnet.Start(t, nil)
	p := letIn(t, w, formLogin, w.Portal(nil))
	v, bystander := p.VisitBy(passwordless), p.Visit()
	fetch(t, bystander, "/login")
	ws, err := v.WebSocket(t.Context(), "/ws/echo")
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	var mine manage.Visit
	w.Eventually("the PBX knows of both", func() error {
		view, err := p.Desk.View(t.Context())
		if err != nil || len(view.Now) != 2 {
			return fmt.Errorf("%+v, %w", view.Now, err)
		}
		mine = view.Now[slices.IndexFunc(view.Now, func(v manage.Visit) bool { return v.Method == passwordless })]
		return nil
	})
	if err := p.Desk.EndVisit(t.Context(), mine.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ws.Read(t.Context()); err == nil {
		t.Error("the WebSocket goes on")
	}
	isOut(t, w, v, fault.EndedByPBX)
	fetch(t, bystander, "/login")
	w.Eventually("control has ended it", func() error {
		page, err := w.API.Visits(t.Context(), controlapi.VisitQuery{})
		if err != nil {
			return err
		}
		for _, o := range page.Items {
			if o.ID == mine.ID && o.EndCode == fault.EndedByPBX {
				return nil
			}
		}
		return fmt.Errorf("%+v", page.Items)
	})
	w.Eventually("it is in the audit log", func() error {
		page, err := w.API.Audit(t.Context(), controlapi.AuditQuery{AuditFilter: controlapi.AuditFilter{Action: "visit_end"}})
		if err != nil || len(page.Items) != 1 || !strings.Contains(page.Items[0].Actor, "staff of PBX") {
			return fmt.Errorf("%+v, %w", page.Items, err)
		}
		return nil
	})
	view, err := p.Desk.View(t.Context())
	if err != nil || len(view.Now) != 1 || len(view.Past) != 1 || view.Past[0].Code != fault.EndedByPBX {
		t.Errorf("%+v, %v", view, err)
	}
	if err := p.Desk.EndVisit(t.Context(), mine.ID); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("again: %v", err)
	}
}

// A visit that cannot be signed in does not begin, and says why.
func TestSignInThatFails(t *testing.T) {
	w := testnet.Start(t, nil)
	p := letIn(t, w, func(c *agent.Config) {
		formLogin(c)
		c.Portal.Login.Form.Password = "changed since"
	}, w.Portal(nil))
	start, err := w.API.StartVisit(t.Context(), controlapi.VisitRequest{Device: p.Device, Method: passwordless})
	if err != nil {
		t.Fatal(err)
	}
	_, err = visitor.Enter(t.Context(), w.TLS, w.Up.ConsoleURL(), start)
	var s *visitor.StatusError
	if !errors.As(err, &s) || s.Status != http.StatusBadGateway || !strings.Contains(s.Body, string(fault.LoginFailed)) ||
		!strings.Contains(s.Body, "403") || strings.Contains(s.Body, "changed since") {
		t.Errorf("got %v", err)
	}
	w.Eventually("the visit is over", func() error {
		page, err := w.API.Visits(t.Context(), controlapi.VisitQuery{})
		if err != nil || len(page.Items) != 1 || page.Items[0].EndCode != fault.LoginFailed {
			return fmt.Errorf("%+v, %w", page.Items, err)
		}
		return nil
	})
}

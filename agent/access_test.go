package agent_test

import (
	"testing"
	"testing/synctest"
	"time"

	"trunkline/agent"
	"trunkline/agent/login"
	"trunkline/agent/manage"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

func withHeader(c *agent.Config) {
	c.Portal.Login = login.Config{Adapter: login.Header, Header: login.HeaderConfig{Name: "X-Remote-User", User: "super"}}
}

func (w *world) decide(c manage.Change) {
	w.t.Helper()
	if err := w.agent.Change(w.t.Context(), c); err != nil {
		w.t.Fatal(err)
	}
}

func (l *fakeLink) lastLogins() tunnel.Logins {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.statuses[len(l.statuses)-1].Logins
}

func TestRelaysAreToldOfTheSwitches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		on, off, minutes := true, false, 20
		w := newWorld(t)
		w.configure = withHeader
		w.run(identity())
		synctest.Wait()
		l := w.latest()
		want := func(x tunnel.Logins) {
			t.Helper()
			if got := l.lastLogins(); got != x {
				t.Errorf("told %+v, want %+v", got, x)
			}
		}
		want(tunnel.Logins{AutoLogout: 15})
		w.decide(manage.Change{Passwordless: &on, AutoLogout: &minutes, Account: &manage.AccountChange{User: "remote", Password: "a password"}})
		want(tunnel.Logins{Account: true, Passwordless: true, AutoLogout: 20})
		n := len(l.statuses)
		w.decide(manage.Change{Passwordless: &on})
		if len(l.statuses) != n {
			t.Error("told again what has not changed")
		}
		l.end(fault.ConnectionLost)
		time.Sleep(time.Minute)
		l = w.latest()
		want(tunnel.Logins{Account: true, Passwordless: true, AutoLogout: 20})

		// Off again: passwordless visits end, others go on.
		a, p := someVisit("account"), someVisit("passwordless")
		l.visit(a)
		l.visit(p)
		w.decide(manage.Change{Passwordless: &off})
		want(tunnel.Logins{Account: true, AutoLogout: 20})
		w.wantVisits([]id.Visit{a.ID}, fault.EndedByPBX)
		late := someVisit("passwordless") // it was granted before
		l.visit(late)
		w.wantVisits([]id.Visit{a.ID}, fault.EndedByPBX, fault.EndedByPBX)
		if got := l.endsAsked(); len(got) != 2 || got[0] != p.ID || got[1] != late.ID {
			t.Errorf("the relay was asked to end %v", got)
		}

		// And nobody is left when remote access is.
		w.decide(manage.Change{On: &off})
		w.wantVisits(nil, fault.RemoteOff, fault.EndedByPBX, fault.EndedByPBX)
		w.stop()
	})
}

// A relay cannot get in by a way that the PBX's staff have not opened.
func TestClosedWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		on := true
		w := newWorld(t)
		w.run(identity())
		synctest.Wait()
		f := func(h tunnel.Header, want fault.Code) {
			t.Helper()
			if got := refusalOf(t, w.latest(), h); got != string(want) {
				t.Errorf("%+v: %s, want %s", h, got, want)
			}
		}
		v := id.NewVisit()
		way := tunnel.Header{Service: "portal", Visit: v, Who: "Ann", Method: "passwordless"}
		in := tunnel.Header{Service: "login", Visit: v, Who: "Ann", Method: "passwordless"}
		f(way, fault.Forbidden)
		f(in, fault.Forbidden)
		w.decide(manage.Change{Passwordless: &on})
		f(way, fault.Forbidden) // the switch is on, and there is no adapter
		f(in, fault.Forbidden)
		w.stop()

		w.configure = withHeader
		w.start()
		synctest.Wait()
		f(tunnel.Header{Service: "login", Visit: v, Who: "Ann", Method: "account"}, fault.Protocol)
		f(tunnel.Header{Service: "login", Visit: v, Method: "passwordless"}, fault.Protocol)
		f(tunnel.Header{Service: "login", Who: "Ann", Method: "passwordless"}, fault.Protocol)
		f(tunnel.Header{Service: "other", Visit: v, Who: "Ann", Method: "passwordless"}, fault.NotFound)
		w.stop()
	})
}

func TestWhyTheSwitchDoesNothing(t *testing.T) {
	f := func(want bool, configure func(*agent.Config)) {
		t.Helper()
		c := agent.Default()
		c.Data = t.TempDir()
		if configure != nil {
			configure(&c)
		}
		w := &world{t: t, data: c.Data, configure: configure}
		synctest.Test(t, func(t *testing.T) {
			w.t = t
			w.start()
			view, err := w.agent.View(t.Context())
			if err != nil || (view.Barred != "") != want {
				t.Errorf("%q, %v", view.Barred, err)
			}
			w.stop()
		})
	}
	f(true, nil)
	f(false, withHeader)
	f(true, func(c *agent.Config) {
		c.Portal.Login = login.Config{Adapter: login.Form, Form: login.FormConfig{
			Action: "/login", User: "super", UserField: "u", PasswordField: "p", PasswordFile: "/nowhere/password",
			Success: login.Success{Status: []int{200}},
		}}
	})
}

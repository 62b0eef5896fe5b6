package agent_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"trunkline/agent"
	"trunkline/agent/manage"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
)

func switched(on bool) manage.Change { return manage.Change{On: &on} }

// Switched off, the relay is told so, nobody stays in, and nothing is tried any
// more, not even after a restart; switched on, the agent is back at once.
func TestRemoteAccessOffAndOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.run(identity())
		synctest.Wait()
		w.wantState(agent.Connected)
		first := w.latest()
		first.change(func() { first.linger = time.Hour }) // a visitor's stream
		if err := w.agent.Change(t.Context(), switched(false)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s := w.wantState(agent.RemoteAccessOff)
		if first.reason() != fault.RemoteOff || w.open() != 0 || time.Since(s.Since) > time.Second {
			t.Errorf("the relay heard %q, %d tunnels are open, since %v", first.reason(), w.open(), s.Since)
		}
		time.Sleep(24 * time.Hour)
		if n := len(w.attempts()); n != 1 {
			t.Errorf("%d attempts while it is off", n)
		}
		w.stop()

		w.run(identity())
		synctest.Wait()
		w.wantState(agent.RemoteAccessOff)
		if err := w.agent.Change(t.Context(), switched(true)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.wantState(agent.Connected)
		w.stop()
	})
}

// A pass for another site is renewed at once, however new it is.
func TestSiteMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.run(identity())
		synctest.Wait()
		for n := 1; n <= 3; n++ {
			w.latest().end(fault.SiteMoved)
			time.Sleep(5 * time.Second)
			w.wantState(agent.Connected)
			if got := len(w.renewals()); got != n {
				t.Errorf("%d renewals after %d moves", got, n)
			}
		}
		w.stop()
	})
}

// The tunnel of a PBX that the provider has no connection for stays, and the
// PBX's staff see why nobody comes.
func TestOverCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var over atomic.Bool
		over.Store(true)
		w.ask = func(context.Context, controlapi.RenewalRequest) (controlapi.Grant, error) {
			g := grant("pass-1")
			g.OverCapacity = over.Load()
			return g, nil
		}
		w.run(identity())
		synctest.Wait()
		w.wantState(agent.Connected)
		w.latest().end(fault.SiteMoved)
		time.Sleep(5 * time.Second)
		if s := w.wantState(agent.OverCapacity); s.Relay == "" || s.Code != fault.OverCapacity || s.Reason == "" {
			t.Errorf("%+v", s)
		}
		w.latest().end(fault.RelayLost)
		synctest.Wait()
		w.wantState(agent.Connecting)
		time.Sleep(5 * time.Second)
		w.wantState(agent.OverCapacity)
		over.Store(false)
		time.Sleep(passLife) // a pass is renewed long before
		if s := w.wantState(agent.Connected); s.Reason != "" || s.Code != "" {
			t.Errorf("%+v", s)
		}
		w.stop()
	})
}

// A licence that ends while the tunnel is up: the PBX's staff see it soon, and
// that there is a new one, without a restart.
func TestLicenceExpiresWhileConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		end := time.Now().Add(3 * time.Hour)
		var renewed atomic.Bool
		w.ask = func(context.Context, controlapi.RenewalRequest) (controlapi.Grant, error) {
			g := grant("pass-1")
			if left := time.Until(end); renewed.Load() {
				g.LicenceSeconds = 365 * 24 * 3600
			} else if g.LicenceExpired = left <= 0; !g.LicenceExpired {
				g.LicenceSeconds = int64(left / time.Second)
			}
			return g, nil
		}
		i := identity()
		i.LicenceLeft = 3 * time.Hour
		w.run(i)
		synctest.Wait()
		time.Sleep(2*time.Hour + 59*time.Minute)
		w.wantState(agent.Connected)
		time.Sleep(7 * time.Minute)
		s := w.wantState(agent.LicenceExpired)
		if s.Relay == "" || s.Code != fault.LicenceExpired || !strings.Contains(s.Reason, "ask the provider to renew it") {
			t.Errorf("%+v", s)
		}
		w.latest().end(fault.RelayLost)
		synctest.Wait()
		w.wantState(agent.Connecting)
		time.Sleep(5 * time.Second)
		w.wantState(agent.LicenceExpired)
		if n := len(w.renewals()); n > 3 {
			t.Errorf("%d renewals", n)
		}
		renewed.Store(true)
		time.Sleep(41 * time.Minute)
		if s := w.wantState(agent.Connected); s.Reason != "" || s.Code != "" {
			t.Errorf("%+v", s)
		}
		w.stop()
	})
}

// An agent without an identity waits, takes one while it runs, and another one
// of another server's, and is the same after a restart.
func TestActivateWhileItRuns(t *testing.T) {
	c := newControl(t)
	w := newWorld(t)
	w.start()
	t.Cleanup(func() { w.stop() })
	w.wantState(agent.NotActivated)
	for n := 1; n <= 2; n++ {
		if err := w.agent.Change(t.Context(), c.connect()); err != nil {
			t.Fatal(err)
		}
		for late := time.Now().Add(30 * time.Second); w.agent.Status().State != agent.Connected || w.opened() < n; time.Sleep(time.Millisecond) {
			if time.Now().After(late) {
				t.Fatalf("not connected: %+v", w.agent.Status())
			}
		}
	}
	wrong := c.connect()
	wrong.Connect.Password = "wrong"
	if err := w.agent.Change(t.Context(), wrong); fault.CodeOf(err) != fault.Rejected {
		t.Errorf("%v", err)
	}
	if s := w.wantState(agent.Connected); s.Server != c.URL || s.Account != "ACME" {
		t.Errorf("after a refusal: %+v", s)
	}
	v, err := w.agent.View(t.Context())
	if err != nil || v.Email != "tech@example.com" || v.Model.Value != "P560" || v.Serial.Value != "SN-0001" || v.Type != manage.CustomServer {
		t.Errorf("%+v, %v", v, err)
	}
	w.stop()
	if err := open(w.data); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

// What staff decided is lost: remote access stays off until they say again.
func TestDamagedSettings(t *testing.T) {
	for name, b := range map[string]string{"empty": "", "truncated": `{"version":1,"off":f`, "garbage": "\x00\xff", "foreign": `{"version":9}`} {
		data := t.TempDir()
		agent.StoreForTest(t, data, identity())
		path := filepath.Join(data, "settings.json")
		if err := os.WriteFile(path, []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := open(data); err == nil || !strings.Contains(err.Error(), "settings.json: damaged") || !strings.Contains(err.Error(), "stays off") {
			t.Errorf("%s: %v", name, err)
		}
		c := agent.Default()
		c.Data = data
		a, err := agent.New(c, zap.NewNop(), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Change(t.Context(), switched(true)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		a.Close()
		if err := open(data); err != nil {
			t.Errorf("%s, saved again: %v", name, err)
		}
	}
}

// A provider's no is the state, with its time and reason, until there is a
// provider; a mistake in typing is none.
func TestStateOfARefusal(t *testing.T) {
	c := newControl(t)
	w := newWorld(t)
	w.start()
	t.Cleanup(func() { w.stop() })
	typo := c.connect()
	typo.Connect.Email = "x"
	if err := w.agent.Change(t.Context(), typo); fault.CodeOf(err) != fault.Invalid {
		t.Error(err)
	}
	w.wantState(agent.NotActivated)
	wrong := c.connect()
	wrong.Connect.Password = "wrong"
	_ = w.agent.Change(t.Context(), wrong) // refused, as the state says
	if s := w.wantState(agent.Rejected); s.Code != fault.Rejected || s.Reason == "" || s.Since.IsZero() {
		t.Errorf("%+v", s)
	}
}

// Another web portal takes effect at once, and is there after a restart.
func TestAnotherPortal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.run(identity())
		synctest.Wait()
		bad, good := "ftp://pbx", "https://127.0.0.1:8089"
		if err := w.agent.Change(t.Context(), manage.Change{Portal: &bad}); fault.CodeOf(err) != fault.Invalid {
			t.Error(err)
		}
		if err := w.agent.Change(t.Context(), manage.Change{Portal: &good}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.wantState(agent.Connected)
		if got := w.latest().said().Portal.Origin; got != good || w.opened() != 2 {
			t.Errorf("the relay hears of %q, over %d tunnels", got, w.opened())
		}
		w.stop()
		w.start()
		synctest.Wait()
		if v, err := w.agent.View(t.Context()); err != nil || v.Portal.Value != good || v.Portal.Configured {
			t.Errorf("%+v, %v", v.Portal, err)
		}
		w.stop()
	})
}

package tunnel_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

func TestVisitsAreToldBothWays(t *testing.T) {
	came, went, wish := make(chan tunnel.Visit, 1), make(chan string, 1), make(chan id.Visit, 1)
	w := start(t, setup{
		handlers: tunnel.Handlers{OnEndVisit: func(v id.Visit) { wish <- v }},
		onVisit:  func(v tunnel.Visit) { came <- v },
		onVisitEnd: func(v id.Visit, c fault.Code) {
			went <- string(v) + " " + string(c)
		},
	})
	v := tunnel.Visit{
		ID: id.NewVisit(), Who: "Ann <ann@example.com>", Method: "passwordless",
		Started: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Idle: 15 * time.Minute,
	}
	if err := w.relay.SendVisit(v); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v, within(t, 20*time.Second, came)); diff != "" {
		t.Errorf("visit: %s", diff)
	}
	if err := w.agent.EndVisit(v.ID); err != nil {
		t.Fatal(err)
	}
	if got := within(t, 20*time.Second, wish); got != v.ID {
		t.Errorf("asked to end %s", got)
	}
	if err := w.relay.SendVisitEnd(v.ID, fault.EndedByPBX); err != nil {
		t.Fatal(err)
	}
	if got := within(t, 20*time.Second, went); got != string(v.ID)+" visit_ended_by_pbx" {
		t.Errorf("ended: %s", got)
	}
}

func TestVisitThatCannotBeToldIsRefusedHere(t *testing.T) {
	w := start(t, setup{})
	good := tunnel.Visit{ID: id.NewVisit(), Method: "account", Started: time.Now(), Idle: time.Minute}
	for name, change := range map[string]func(*tunnel.Visit){
		"no id":        func(v *tunnel.Visit) { v.ID = "" },
		"no beginning": func(v *tunnel.Visit) { v.Started = time.Time{} },
		"method":       func(v *tunnel.Visit) { v.Method = "a\nb" },
		"idle":         func(v *tunnel.Visit) { v.Idle = 48 * time.Hour },
	} {
		v := good
		change(&v)
		if err := w.relay.SendVisit(v); err == nil {
			t.Errorf("%s: it was sent", name)
		}
	}
	good.Who = strings.Repeat("é", 300) // cut, as a visit must be told
	if err := w.relay.SendVisit(good); err != nil {
		t.Error(err)
	}
}

func TestLoginThatBreaksOut(t *testing.T) {
	cookie := func(change func(*tunnel.Cookie)) tunnel.Login {
		c := tunnel.Cookie{Name: "sid", Value: "x", Path: "/"}
		change(&c)
		return tunnel.Login{Cookies: []tunnel.Cookie{c}, Location: "/"}
	}
	for name, l := range map[string]tunnel.Login{
		"nowhere":       {},
		"another host":  {Location: "https://example.com/"},
		"no scheme":     {Location: "//example.com"},
		"backslash":     {Location: `/\example.com`},
		"line":          {Location: "/a\r\nSet-Cookie: a=b"},
		"the relay's":   {Location: "/.trunkline/end"},
		"long":          {Location: "/" + strings.Repeat("a", 3000)},
		"many cookies":  {Location: "/", Cookies: make([]tunnel.Cookie, 33)},
		"name":          cookie(func(c *tunnel.Cookie) { c.Name = "a=b" }),
		"no name":       cookie(func(c *tunnel.Cookie) { c.Name = "" }),
		"attribute":     cookie(func(c *tunnel.Cookie) { c.Value = "x; Domain=example.com" }),
		"value's line":  cookie(func(c *tunnel.Cookie) { c.Value = "x\r\ny" }),
		"path":          cookie(func(c *tunnel.Cookie) { c.Path = "/; Domain=x" }),
		"relative path": cookie(func(c *tunnel.Cookie) { c.Path = "a" }),
		"same site":     cookie(func(c *tunnel.Cookie) { c.SameSite = "Lax; x" }),
		"size":          cookie(func(c *tunnel.Cookie) { c.Value = strings.Repeat("x", 5000) }),
	} {
		if l.Valid() == nil {
			t.Errorf("%s: taken", name)
		}
		if _, err := l.WriteTo(new(strings.Builder)); err == nil {
			t.Errorf("%s: written", name)
		}
	}
}

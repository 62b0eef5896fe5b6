package testnet_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"trunkline/internal/testnet"
)

// A pair fails over while somebody visits it: the open list changes its marks
// by itself, and the visitor is told before being shown the other server.
func TestChromiumFailover(t *testing.T) {
	need(t, "chromium")
	w := testnet.Start(t, connections(t, 1))
	pair := w.Pair(primarySN, secondarySN)
	pair.Run()
	both(w, pair, "active", "standby")
	chromium := startChromium(t, w)
	visitor := person(t, chromium)
	visitor.visits(t, w, pair.Primary)
	visitor.awaits("body", "primary server, active")

	list := person(t, chromium)
	list.open(w.Up.ConsoleURL())
	list.signIn(w)
	one, two := "tr#"+string(pair.Primary.Device), "tr#"+string(pair.Secondary.Device)
	list.awaits(one, "Active")
	list.awaits(two, "Standby")
	list.sees("#livedot:not(.lost)")
	read[bool](list, `window.sameDocument = true`)

	if err := pair.Failover(); err != nil {
		t.Fatal(err)
	}
	list.awaits(one, "Standby")
	list.awaits(two, "Active")
	if !read[bool](list, `window.sameDocument === true`) {
		t.Error("the list was loaded again")
	}
	list.shots("failover")

	visitor.do("reload", chromedp.Reload())
	visitor.awaits("main", "roles_swapped")
	if !strings.Contains(visitor.text("main"), string(secondarySN)) {
		t.Errorf("the notice is %q", visitor.text("main"))
	}
	visitor.expect("409")
	visitor.shots("failover-notice")
	visitor.click("main a")
	visitor.awaits("body", "secondary server, active")
	list.clean()
}

// signIn fills in the sign-in page, if that is what is shown.
func (p *tab) signIn(w *testnet.World) {
	p.t.Helper()
	if !read[bool](p, `document.querySelector("#password") !== null`) {
		return
	}
	email, password := w.Login()
	p.types("#email", email)
	p.types("#password", password+"\r")
}

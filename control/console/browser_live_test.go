package console_test

import (
	"context"
	"testing"
	"time"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"trunkline/control/fleet"
)

// with changes the fake, as somebody else would.
func (f *fake) with(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// asked waits until pages have come n more times.
func (f *fake) asked(t *testing.T, n int) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for before := f.count("Authenticate"); f.count("Authenticate") < before+n; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the page has not looked again %d times", n)
		}
	}
}

// Pages show by themselves what others do, long before one that polls would: how
// many connections are used, visits, and devices below.
func TestBrowserHears(t *testing.T) {
	f := liveFake()
	w := newWorld(t, f)
	ctx := browse(t)
	signIn(t, ctx, w, "/")
	soon := func(expression string) {
		t.Helper()
		if _, err := chromedp.Run(ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(12*time.Second))); err != nil {
			t.Fatalf("not soon: %s: %v", expression, err)
		}
	}
	open := func(path string) {
		t.Helper()
		run(t, ctx, chromedp.Navigate(w.base+path), chromedp.WaitVisible(css("#livedot:not(.lost)")))
	}
	open("/")
	f.with(func() { f.sub.Used = 4 })
	f.edit(f.devices[0]) // it has left its pair
	soon(`document.querySelector("#usage b").textContent == "4"`)

	open("/visits")
	v := f.visits[0]
	v.ID = visitID(77)
	f.with(func() { f.visits = append([]fleet.Visit{v}, f.visits...) })
	f.visit(f.devices[0])
	soon(`document.getElementById("` + string(v.ID) + `") != null`)

	open("/devices/" + string(deviceID(1)))
	f.with(func() { f.visits[0].Who = "Grace Hopper" })
	f.visit(f.devices[0])
	soon(`document.getElementById("visits").textContent.includes("Grace Hopper")`)

	f.with(func() { f.devices[0].Comment = "moved to the 4th floor" })
	f.edit(f.devices[0])
	soon(`document.getElementById("options").textContent.includes("moved to the 4th floor")`)

	waiting := f.devices[0]
	waiting.Presence.Status, waiting.Code = fleet.StatusNotActivated, fleet.CodeState{Hash: "h", Expires: time.Now().Add(time.Hour)}
	f.with(func() { f.devices[0] = waiting })
	open("/devices/" + string(deviceID(1)))
	run(t, ctx, chromedp.WaitVisible("#code-state"), chromedp.WaitVisible("#revoke button"))
	read(t, ctx, `document.querySelector('[name="code_life"]').selectedIndex = 0, ""`) // somebody is choosing
	activated := waiting
	activated.Presence.Status, activated.Code = fleet.StatusConnected, fleet.CodeState{}
	f.set(activated)
	soon(`!document.getElementById("code-state") && !document.querySelector("#revoke button")`)
	if got := read(t, ctx, `document.querySelector('[name="code_life"]').selectedIndex + ""`); got != "0" {
		t.Errorf("what was chosen became %s", got)
	}

	open("/user-devices")
	d := f.devices[0]
	d.Account, d.Owner = accountID(2), "South Telecom"
	d.Presence = fleet.Presence{Status: fleet.StatusDisconnected, Since: time.Now()}
	f.set(d)
	soon(`document.querySelector("` + row(1) + ` .pill").textContent == "Not connected"`)
}

// hasten has pages look again every half a second where they do so every 20.
func hasten(t *testing.T, ctx context.Context) {
	t.Helper()
	const script = `{ const real = setInterval; window.setInterval = (f, ms) => real(f, ms === 20000 ? 500 : ms); }`
	_, err := chromedp.Call(ctx, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: script})
	if err != nil {
		t.Fatal(err)
	}
}

// A page that was fetched before a device changed, and comes after the news of it,
// does not leave the row as it was before.
func TestBrowserLatePage(t *testing.T) {
	f := liveFake()
	w := newWorld(t, f)
	ctx := browse(t)
	const script = `{
		const real = fetch
		window.fetch = async (...args) => {
			const page = await real(...args)
			if (!window.go) await new Promise((go) => (window.go = go))
			return page
		}
	}`
	if _, err := chromedp.Call(ctx, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: script}); err != nil {
		t.Fatal(err)
	}
	signIn(t, ctx, w, "/")
	becomes(t, ctx, `window.go != null`)
	d := f.devices[0]
	d.Presence = fleet.Presence{Status: fleet.StatusDisconnected, Since: time.Now()}
	f.set(d)
	pill := `document.querySelector("` + row(1) + ` .pill").textContent`
	becomes(t, ctx, pill+` == "Not connected"`)
	const used = `document.querySelector("#usage b").textContent`
	read(t, ctx, used+` = "?", window.go(), ""`)
	becomes(t, ctx, used+` != "?" && `+pill+` == "Not connected"`)
}

// Pages that hear of nothing look again, and leave alone what somebody types or
// has come to by keyboard; also when the session is over.
func TestBrowserLooksAgain(t *testing.T) {
	f := liveFake()
	w := newWorld(t, f)
	ctx := browse(t)
	hasten(t, ctx)
	signIn(t, ctx, w, "/groups")
	f.with(func() { f.groups = append(f.groups, fleet.Group{ID: groupID(3), Name: "West"}) })
	run(t, ctx, chromedp.SendKeys("#f-name", "Eas"), chromedp.WaitVisible(css("#"+string(groupID(3)))))
	const typed = `[document.activeElement.id, document.activeElement.value, document.activeElement.selectionStart].join()`
	if got := read(t, ctx, typed); got != "f-name,Eas,3" {
		t.Errorf("the form has %s", got)
	}
	// The first row goes, and what comes after it keeps the focus.
	read(t, ctx, `document.querySelector("#`+string(groupID(3))+` .name").focus(), ""`)
	f.with(func() { f.groups, f.sub.Warning = f.groups[1:], "The licence ends in 3 days." })
	becomes(t, ctx, `document.getElementById("`+string(groupID(1))+`") == null`)
	becomes(t, ctx, `document.querySelector("#banner .banner")?.textContent == "The licence ends in 3 days."`)
	if got := read(t, ctx, `document.activeElement.closest("tr")?.id ?? ""`); got != string(groupID(3)) {
		t.Errorf("the focus is at %q", got)
	}

	f.with(func() { clear(f.live) })
	f.asked(t, 3)
	if got := read(t, ctx, `document.getElementById("f-name").value`); got != "Eas" {
		t.Errorf("when the session was over the form had %q", got)
	}
	read(t, ctx, `document.getElementById("f-name").value = "", ""`)
	run(t, ctx, chromedp.WaitVisible("#password"))

	signIn(t, ctx, w, "/")
	for _, path := range []string{"/people", "/resellers", "/audit", "/subscription", "/user-devices", "/visits"} {
		run(t, ctx, chromedp.Navigate(w.base+path))
		f.asked(t, 4) // of pages with a stream, twice by that
	}
}

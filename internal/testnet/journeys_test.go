package testnet_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"trunkline/cmd/trunkline/up"
	"trunkline/internal/controlapi"
	"trunkline/internal/id"
	"trunkline/internal/pbxsim"
	"trunkline/internal/testnet"
)

// office is an installation, who runs it, and a PBX on its way: each journey
// goes on where the one before ended.
type office struct {
	*testnet.World
	signer   ed25519.PrivateKey // of licences
	chromium context.Context
	staff    *tab
	portal   *pbxsim.Portal
	pbx      *testnet.PBX
}

// The whole system, by nothing but its pages, as those use it whose it is: a
// PBX is added and connected, visited both ways, resold, licensed, audited.
func TestJourneys(t *testing.T) {
	need(t, "chromium")
	pub, signer, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	w := testnet.Start(t, func(c *up.Config) { c.Control.LicenseKey = base64.StdEncoding.EncodeToString(pub) })
	o := &office{World: w, signer: signer, portal: w.Portal(withDoor), chromium: startChromium(t, w)}
	o.staff = person(t, o.chromium)
	email, password := w.Login()
	o.staff.open(w.Up.ConsoleURL())
	o.staff.types("#email", email)
	o.staff.types("#password", password+"\r")
	o.staff.sees("#empty")
	for _, journey := range []struct {
		name string
		run  func(*testing.T)
	}{{"by code", o.byCode}, {"by e-mail", o.byEmail}, {"visits", o.visits}, {"reseller", o.reseller}, {"licence", o.licence}, {"audit", o.audit}} {
		if !t.Run(journey.name, func(t *testing.T) {
			o.staff.t = t
			defer func(of *testing.T) { o.staff.t = of }(o.T.(*testing.T))
			journey.run(t)
			o.staff.clean()
		}) {
			return // the next would only fail for it
		}
	}
}

func (o *office) at(path string) string { return o.Up.ConsoleURL() + path }

// addDevice fills in Add device, and is the code that is shown.
func (p *tab) addDevice(name string) (code string) {
	p.t.Helper()
	p.click(`a[href="/devices/add"]`)
	p.types("#f-name", name+"\r")
	p.sees("#secret")
	code = p.text("#secret")
	p.shots("code")
	p.click(".buttons a.primary") // Done
	p.sees("#h-options")
	if p.says(code) {
		p.t.Error("the code is shown twice")
	}
	return code
}

// text is what an element says.
func (p *tab) text(selector string) string {
	p.t.Helper()
	p.sees(selector)
	return strings.TrimSpace(read[string](p, `document.querySelector(`+quote(selector)+`).innerText`))
}

// says reports whether the page has words, whatever is around them.
func (p *tab) says(words string) bool {
	p.t.Helper()
	return read[bool](p, `document.querySelector("main").innerText.includes(`+quote(words)+`)`)
}

// awaits waits until an element has words.
func (p *tab) awaits(selector, words string) {
	p.t.Helper()
	p.becomes(`!!document.querySelector(` + quote(selector) + `)?.innerText.includes(` + quote(words) + `)`)
}

// lands waits until a tab has come to where it was led.
func (p *tab) lands(path string) {
	p.t.Helper()
	p.becomes(`location.pathname === ` + quote(path) + ` && document.readyState === "complete"`)
}

// submit presses a page's main button.
func (p *tab) submit() {
	p.t.Helper()
	p.click("main form.fields .buttons button")
}

// A code is typed on the PBX's own page, and the open list shows it connect.
func (o *office) byCode(t *testing.T) {
	p := o.staff
	code := p.addDevice("Acme, head office")
	o.pbx = o.Unbox("3631A20C0042", o.portal.URL())
	o.pbx.Device = id.Device(read[string](p, `location.pathname.split("/").pop()`))
	o.pbx.Configure(formLogin)
	o.pbx.Configure(tells(t, o.portal))
	p.open(o.at("/"))
	p.awaits(o.row()+" .pill", "Not activated")
	o.connectsByPage(t, o.pbx, "code", func(it *tab) { it.types("#code", code+"\r") })
	if !strings.Contains(p.text(o.row()), "Acme, head office") {
		t.Errorf("the row is %q", p.text(o.row()))
	}
}

// An e-mail address and a password are typed on the page of a PBX that nobody
// has added: the open list shows it come, under a name of its own.
func (o *office) byEmail(t *testing.T) {
	p := o.staff
	email, password := o.Login()
	pbx := o.Unbox("3631A20C0043", o.portal.URL())
	p.open(o.at("/"))
	p.sees(o.row())
	o.connectsByPage(t, pbx, "email", func(it *tab) {
		it.types("#email", email)
		it.types("#password", password+"\r")
	})
	if d := pbx.AwaitStatus(controlapi.StatusConnected); d.Serial != pbx.Serial || !strings.Contains(p.text("tr#"+string(pbx.Device)), d.Name) {
		t.Errorf("the row of %+v is %q", d, p.text("tr#"+string(pbx.Device)))
	}
}

// connectsByPage types on a PBX's own page what connects it, and sees it connect
// there and in the open list of the provider's, which is not loaded again.
func (o *office) connectsByPage(t *testing.T, pbx *testnet.PBX, method string, secrets func(it *tab)) {
	t.Helper()
	p := o.staff
	p.sees("#livedot:not(.lost)")
	read[bool](p, `window.sameDocument = true`)
	pbx.Run()
	it := person(t, o.chromium)
	it.setUp(pbx)
	it.choose("#server_type", "custom")
	it.types("#server", strings.TrimPrefix(o.Up.ConsoleURL(), "https://"))
	it.choose("#method", method)
	it.trusts(o.World)
	secrets(it)
	it.state("Connected")
	row := `[...document.querySelectorAll("tbody tr")].find(tr => tr.innerText.includes(` + quote(string(pbx.Serial)) + `))`
	p.becomes(row + `?.querySelector(".pill.up")?.innerText.includes("Connected") === true`)
	pbx.Device = id.Device(read[string](p, row+`.id`))
	if !read[bool](p, `window.sameDocument === true`) {
		t.Error("the list was loaded again")
	}
	it.clean()
}

func (o *office) row() string { return "tr#" + string(o.pbx.Device) }

// Both switches let a visitor in without a password, and the PBX knows who it
// is; by the account that its staff typed on its page one is Administrator there.
// Staff end both.
func (o *office) visits(t *testing.T) {
	p, email := o.staff, o.Up.AdminEmail()
	device := o.at("/devices/" + string(o.pbx.Device))
	passwordless := `#act input[value="passwordless"] + button`
	p.open(device)
	p.awaits("#act .why", "not allowed for this device here")
	p.open(device + "/edit")
	p.click("#f-passwordless")
	p.submit()
	p.awaits("#act .why", "off on the PBX’s Remote Management page")
	if read[bool](p, `!!document.querySelector(`+quote(passwordless)+`)`) {
		t.Error("the button is there with one switch on")
	}
	it := person(t, o.chromium)
	it.open(o.pbx.Page)
	it.types("#password", pagePassword+"\r")
	it.click("#passwordless")
	const user, password = "helpdesk", "typed on the page"
	it.awaits("#account-hint", "The PBX is told")
	it.types("#account_user", user)
	it.types("#account_password", password)
	it.click("#save")
	it.sees(".notice")
	p.sees(passwordless) // by itself

	account := p.follow(func() { p.click(`#act form:first-child button`) })
	account.lands("/login")
	account.types("#username", user)
	account.types("#password", password+"\r")
	account.sees("#system")
	if got := account.text("#whoami"); got != user {
		t.Errorf("by the account it is %q", got)
	}
	super := p.follow(func() { p.click(passwordless) })
	super.lands("/extensions")
	if got := super.text("#whoami"); got != testnet.SuperUser {
		t.Errorf("without a password it is %q", got)
	}
	super.shots("passwordless")
	logged := func(who func(string) bool) bool {
		return slices.ContainsFunc(o.portal.Operations(), func(op pbxsim.Operation) bool { return who(op.Who) })
	}
	if !logged(func(who string) bool {
		return strings.HasPrefix(who, testnet.SuperUser+" for ") && strings.Contains(who, email)
	}) ||
		!logged(func(who string) bool { return who == user }) {
		t.Errorf("the PBX's log: %+v", o.portal.Operations())
	}
	it.awaits("#live", email)

	p.open(o.at("/visits"))
	p.click(`#list a[href$="/end"]`) // all of one person's
	p.sees("#h")
	p.submit()
	p.sees("#none-on")
	for _, v := range []*tab{account, super} {
		v.do("reload", chromedp.Reload())
		v.sees("main .facts")
		if got := v.text("main code"); got != "visit_ended_by_staff" {
			t.Errorf("after the end a visit's tab shows %q", got)
		}
		v.forgive("visit") // what the open page asked for meanwhile
	}
	it.becomes(`document.querySelectorAll("#live td[data-label=To] time").length === 2`)
	it.clean()
}

// connects activates a PBX by a code, and runs it.
func (o *office) connects(t *testing.T, code string, serial id.Serial) *testnet.PBX {
	t.Helper()
	p, err := o.ActivateByCode(code, serial, o.portal.URL())
	if err != nil {
		t.Fatal(err)
	}
	p.Run()
	return p
}

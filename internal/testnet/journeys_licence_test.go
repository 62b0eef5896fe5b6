package testnet_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"trunkline/control/fleet"
	"trunkline/control/license"
	"trunkline/control/store"
	"trunkline/internal/fault"
)

// From the trial to a licence that is over, one in its days of grace, and a
// good one: what each allows, and what each page says of it.
func (o *office) licence(t *testing.T) {
	o.subscription("Trial", "25")
	o.banner("")
	code := o.licenceOver(t)

	p := o.staff
	for said, file := range map[string][]byte{
		"expired on": o.issue("Over", -60), "not a licence file": []byte("{}"),
		"was changed": []byte(strings.Replace(string(o.issue("ACME", 100)), "500", "900", 1)),
	} {
		o.paste(file)
		p.awaits("#e-licence", said)
		p.expect("422")
	}
	o.paste(o.issue("Graceful", -3))
	p.sees(".notice")
	o.subscription("Subscribed", "in its days of grace", "Graceful", "500")
	o.everyPage(func() { o.banner("Everything goes on until") })
	p.shots("licence-grace")
	o.visitRow().lands("/login")
	if _, err := o.ActivateByCode(code, "3631A20C0100", o.portal.URL()); err != nil {
		t.Error(err)
	}

	file := filepath.Join(t.TempDir(), "acme.licence")
	if err := os.WriteFile(file, o.issue("ACME", 200), 0o600); err != nil {
		t.Fatal(err)
	}
	p.open(o.at("/subscription"))
	p.do("choose the file", chromedp.SetUploadFiles(chromedp.CSS("#f-file"), []string{file}))
	p.click(`form[enctype] button`)
	p.sees(".notice")
	o.subscription("Subscribed", "ACME", "500")
	o.banner("")
}

// licenceOver is the time after a licence that nobody renewed. The code is of a
// device that could not be activated.
func (o *office) licenceOver(t *testing.T) (code string) {
	// Installed when it was good: no page takes it now.
	s, err := store.OpenSQLite(t.Context(), filepath.Join(o.Data, store.FileName), o.Log)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Tx(t.Context(), func(tx fleet.Tx) error {
		return tx.AddLicence(fleet.LicenceFile{File: o.issue("Over", -60), Installed: time.Now().Add(-300 * day), Actor: o.Up.AdminEmail()})
	}); err != nil {
		t.Fatal(err)
	}
	o.subscription("Not Subscribed", "Over", "PBXs stay connected")
	o.banner("days of grace are over")
	p := o.staff
	p.shots("licence-over")
	v := o.visitRow()
	v.awaits("main code", string(fault.LicenceExpired))
	if !v.says("days of grace are over") {
		t.Errorf("the refused visit's page: %s", v.text("main"))
	}
	p.open(o.at("/"))
	code = p.addDevice("Too late")
	if _, err := o.ActivateByCode(code, "3631A20C0100", o.portal.URL()); fault.CodeOf(err) != fault.LicenceExpired || !strings.Contains(err.Error(), "days of grace are over") {
		t.Errorf("an activation: %v", err)
	}
	return code
}

const day = 24 * time.Hour

// issue is a licence that ends in some days.
func (o *office) issue(holder string, days int) []byte {
	o.staff.t.Helper()
	end := time.Now().Add(time.Duration(days)*day + time.Hour)
	file, err := license.Issue(o.signer, license.License{Holder: holder, Plan: "standard", Connections: 500, NotBefore: end.Add(-365 * day), Expires: end})
	if err != nil {
		o.staff.t.Fatal(err)
	}
	return file
}

// subscription is the page, and what it has to say.
func (o *office) subscription(want ...string) {
	p := o.staff
	p.t.Helper()
	p.open(o.at("/subscription"))
	for _, s := range want {
		if !p.says(s) {
			p.t.Errorf("My Subscription does not say %q: %s", s, p.text("main"))
		}
	}
}

// banner is on the page that is open.
func (o *office) banner(words string) {
	p := o.staff
	p.t.Helper()
	if got := read[string](p, `document.querySelector(".banner")?.innerText ?? ""`); (got == "") != (words == "") || !strings.Contains(got, words) {
		p.t.Errorf("%s has the banner %q, want %q", p.where(), got, words)
	}
}

// everyPage is each of the navigation, and some that lead on from them.
func (o *office) everyPage(look func()) {
	for _, path := range []string{
		"/", "/overview", "/user-devices", "/visits", "/subscription", "/people", "/people/invite", "/roles", "/resellers", "/audit", "/me",
		"/groups", "/devices/add", "/devices/" + string(o.pbx.Device),
	} {
		o.staff.open(o.at(path))
		look()
	}
}

func (o *office) paste(file []byte) {
	o.staff.t.Helper()
	o.staff.open(o.at("/subscription"))
	o.staff.fill("#f-licence", string(file))
	o.staff.submit()
}

// visitRow presses the button in the list, and is the tab that opens.
func (o *office) visitRow() *tab {
	p := o.staff
	p.t.Helper()
	p.open(o.at("/"))
	p.sees(o.row() + " .pill.up")
	return p.follow(func() { p.click(o.row() + " button") })
}

package testnet_test

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/xuri/excelize/v2"

	"trunkline/control/export"
	"trunkline/control/fleet"
	"trunkline/internal/fault"
)

// A reseller is taken on, works, and is given up.
func (o *office) reseller(t *testing.T) {
	p := o.staff
	p.open(o.at("/resellers"))
	p.click(`a[href="/resellers/add"]`)
	p.types("#f-name", "Börse & Söhne")
	p.fill("#f-connections", "5")
	p.types("#f-email", "owner@reseller.example")
	p.types("#f-person", "Rita Resell\r")
	link := p.text("#secret")

	q := person(t, o.chromium)
	q.open(link)
	q.types("#f-password", "her own and nobody else's")
	q.types("#f-again", "her own and nobody else's\r")
	q.lands("/overview")
	q.open(link) // once
	q.refused(fault.InvitationInvalid)
	q.open(o.at("/"))
	pbx := o.connects(t, q.addDevice("=Front desk"), "3631A20C0099")
	row := "tr#" + string(pbx.Device)
	q.open(o.at("/"))
	q.awaits(row+" .pill.up", "Connected")
	q.exports(row, "=Front desk")

	p.open(o.at("/"))
	p.click(`a[href="/user-devices"]`)
	p.awaits(row+" .pill.up", "Connected")
	if got := p.text(row); !strings.Contains(got, "Börse & Söhne") || read[bool](p, `!!document.querySelector("`+row+` button")`) {
		t.Errorf("the provider's row of it is %q, or has a button", got)
	}
	p.open(o.at("/resellers"))
	p.click(".list a.name")
	p.fill("#f-connections", "0")
	p.submit()
	p.awaits("#e-connections", "it must keep 1")
	p.expect("400")
	p.fill("#f-connections", "1")
	p.submit()
	p.sees(".notice")
	p.shots("reseller")
	at := read[string](p, "location.pathname")
	remove := func() {
		p.open(o.at(at + "/remove"))
		p.submit()
	}
	remove()
	p.refused(fault.AccountInUse)
	pbx.Stop()
	pbx.AwaitStatus("disconnected")
	remove()
	p.sees(".notice")
	q.clean()
	q.do("reload", chromedp.Reload()) // she is out
	q.sees("#email")
	q.types("#email", "owner@reseller.example")
	q.types("#password", "her own and nobody else's\r")
	q.awaits("#error code", string(fault.WrongLogin))
	q.expect("401")
}

// exports takes the list as both files, and reads them.
func (p *tab) exports(row, name string) {
	p.t.Helper()
	get := func(format string) string {
		return p.download(func() { p.click(`.bulk a[href*="format=` + format + `"]`) })
	}
	b, err := os.ReadFile(get("csv"))
	if err != nil {
		p.t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(b), "\ufeff"))).ReadAll()
	if err != nil {
		p.t.Fatal(err)
	}
	check := func(rows [][]string, name string) {
		p.t.Helper()
		if len(rows) != 2 || !slices.Equal(rows[0], export.Columns()) || rows[1][0] != name || rows[1][1] != "3631A20C0099" ||
			rows[1][2] != "connected" || "tr#"+rows[1][len(rows[1])-1] != row {
			p.t.Errorf("exported: %q", rows)
		}
	}
	check(rows, "'"+name) // no spreadsheet runs it
	// The same from the box before the row.
	p.click(row + " input[type=checkbox]")
	f, err := excelize.OpenFile(p.download(func() { p.click(`.bulk button[value=xlsx]`) }))
	if err != nil {
		p.t.Fatal(err)
	}
	defer f.Close()
	if rows, err = f.GetRows(f.GetSheetName(0)); err != nil {
		p.t.Fatal(err)
	}
	check(rows, name)
}

// fill types over what a field has.
func (p *tab) fill(selector, text string) {
	p.t.Helper()
	p.do("fill "+selector, chromedp.SetValue(chromedp.CSS(selector), text))
}

// refused sees a page that says why not, with its code.
func (p *tab) refused(code fault.Code) {
	p.t.Helper()
	p.awaits("main code", string(code))
	p.expect(strconv.Itoa(fault.Status(code)))
}

// What was refused on the way is in the log, on the page and in the file.
func (o *office) audit(t *testing.T) {
	p := o.staff
	p.open(o.at("/audit"))
	all := p.entries()
	p.open(o.at("/audit"))
	p.choose("#f-outcome", "refused")
	p.click(".filterbar button")
	p.becomes(`location.search.includes("outcome=refused") && document.readyState === "complete"`)
	if n := read[int](p, `document.querySelectorAll(".auditlist .pill.ok").length`); n != 0 {
		t.Errorf("%d that were done are shown among the refusals", n)
	}
	shown := read[int](p, `document.querySelectorAll(".auditlist .pill.down").length`)
	p.shots("audit")
	refused := p.entries()
	if len(refused) != shown || len(refused) >= len(all) {
		t.Errorf("%d refusals in the file, %d on the page, %d entries in all", len(refused), shown, len(all))
	}
	for _, want := range []struct{ action, outcome string }{
		{fleet.ActionActivate, string(fault.LicenceExpired)}, {fleet.ActionVisitStart, string(fault.LicenceExpired)},
		{fleet.ActionLicenceInstall, string(fault.LicenceInvalid)}, {fleet.ActionResellerRemove, string(fault.AccountInUse)},
		{fleet.ActionResellerEdit, string(fault.Invalid)}, {fleet.ActionSignIn, string(fault.WrongLogin)},
	} {
		if !slices.ContainsFunc(refused, func(e entry) bool { return e.Action == want.action && e.Outcome == want.outcome }) {
			t.Errorf("the refusals lack %v", want)
		}
	}
	for i, e := range refused {
		if e.Outcome == "ok" || e.At.IsZero() || e.Action == "" || i > 0 && e.Seq >= refused[i-1].Seq {
			t.Errorf("an entry among the refusals: %+v", e)
		}
	}
}

type entry struct {
	Seq                    int64
	At                     time.Time
	Actor, Action, Outcome string
}

// entries is what the export of the log as it is shown has.
func (p *tab) entries() (out []entry) {
	p.t.Helper()
	f, err := os.Open(p.download(func() { p.click(`a[href^="/audit/export"]`) }))
	if err != nil {
		p.t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var e entry
		if err := json.Unmarshal(s.Bytes(), &e); err != nil {
			p.t.Fatalf("%s: %v", s.Text(), err)
		}
		out = append(out, e)
	}
	return out
}

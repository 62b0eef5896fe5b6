package console_test

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
)

// What the API shows and does, the console does too.

// An activated device's code is shown, and can be revoked, as a waiting one's.
func TestCodeOfAnActivatedDevice(t *testing.T) {
	f := func(name string, code fleet.CodeState, words string, revoke bool) {
		t.Helper()
		x := sample()
		x.devices[0].Code = code
		body := ask(newConsole(t, x), "GET", "/devices/"+string(deviceID(1)), nil).Body.String()
		if has := strings.Contains(body, `action="/devices/`+string(deviceID(1))+`/code/revoke"`); has != revoke {
			t.Errorf("%s: it can be revoked: %v", name, has)
		}
		if words != "" && !strings.Contains(body, words) || words == "" && strings.Contains(body, "code-state") {
			t.Errorf("%s: the page does not say %q", name, words)
		}
	}
	f("none", fleet.CodeState{}, "", false)
	f("good", fleet.CodeState{Hash: "h", Expires: noon.Add(time.Hour)}, "This device has a code until 2026-11-23 13:00 UTC.", true)
	f("expired", fleet.CodeState{Hash: "h", Expires: noon.Add(-time.Hour)}, "a code that expired 2026-11-23 11:00 UTC", true)
	f("used", fleet.CodeState{Hash: "h", Expires: noon.Add(time.Hour), Used: noon.Add(-time.Minute)}, "a code that was used 2026-11-23 11:59 UTC", true)
}

// The whole timeline is there, a page after the other.
func TestTimelinePages(t *testing.T) {
	x := sample()
	for i := range 70 {
		x.events = append(x.events, fleet.StatusChange{At: noon.Add(-time.Duration(i) * time.Minute), Kind: string(fleet.StatusConnected), Detail: fmt.Sprintf("entry %02d.", i)})
	}
	h, at := newConsole(t, x), "/devices/"+string(deviceID(1))
	older := regexp.MustCompile(`href="([^"]+)" rel="next">Older`)
	for page := range 3 {
		body := ask(h, "GET", at, nil).Body.String()
		for i := range 70 {
			if has := strings.Contains(body, fmt.Sprintf("entry %02d.", i)); has != (i/30 == page) {
				t.Errorf("page %d has entry %d: %v", page+1, i, has)
			}
		}
		if strings.Contains(body, ">Newest</a>") != (page > 0) {
			t.Errorf("page %d: the way back", page+1)
		}
		m := older.FindStringSubmatch(body)
		if (m == nil) != (page == 2) {
			t.Fatalf("page %d: the way on is %v", page+1, m)
		}
		if m != nil {
			at, _, _ = strings.Cut(m[1], "#")
		}
	}
	if w := ask(h, "GET", "/devices/"+string(deviceID(1))+"?events=%00", nil); w.Code != fault.Status(fault.Invalid) {
		t.Errorf("a damaged address: %d", w.Code)
	}
}

// Visits are narrowed to a PBX and to a person, on every page.
func TestVisitsOfADeviceOrAPerson(t *testing.T) {
	x := sample()
	other := x.visits[1]
	other.ID, other.User, other.Who = visitID(9), userID(2), "Bob <bob@acme.example>"
	x.visits = append(x.visits, other)
	for range 60 {
		x.visits = append(x.visits, other)
	}
	h := newConsole(t, x)
	f := func(query string, has, hasNot []string) {
		t.Helper()
		body := ask(h, "GET", "/visits"+query, nil).Body.String()
		for _, s := range has {
			if !strings.Contains(body, s) {
				t.Errorf("%s lacks %s", query, s)
			}
		}
		for _, s := range hasNot {
			if strings.Contains(body, s) {
				t.Errorf("%s has %s", query, s)
			}
		}
	}
	row := func(n int) string { return `<tr id="` + string(visitID(n)) + `"` }
	d2, bob := "device="+string(deviceID(2)), "user="+string(userID(2))
	f("", []string{row(1), row(2), row(3), row(9)}, []string{`id="only"`})
	f("?"+d2, []string{row(2), row(9), "to Northside Clinic", d2 + "&amp;from=51"}, []string{row(1), row(3)})
	f("?"+bob, []string{row(9), "of Bob", "&amp;" + bob}, []string{row(1), row(2), row(3)})
	f("?device="+string(deviceID(1))+"&"+bob, []string{"None of these visits has ended", `id="none-on"`}, []string{row(1), row(3), row(9)})
	for _, bad := range []string{"?device=x", "?user=x"} {
		if w := ask(h, "GET", "/visits"+bad, nil); w.Code != fault.Status(fault.Invalid) {
			t.Errorf("%s: %d", bad, w.Code)
		}
	}
	if body := ask(h, "GET", "/devices/"+string(deviceID(2)), nil).Body.String(); !strings.Contains(body, `href="/visits?`+d2+`"`) {
		t.Error("the device's page leads to no visits")
	}
}

func TestDevicesBySerialNumber(t *testing.T) {
	h := newConsole(t, sample())
	f := func(path, href, order string) {
		t.Helper()
		body := ask(h, "GET", path, nil).Body.String()
		head := regexp.MustCompile(`<th[^>]*scope="col"( aria-sort="\w+")?><a class="sort"[^>]*>PBX</a>, <a class="sort"( aria-current="true")? href="([^"]+)">Serial number</a>`).FindStringSubmatch(body)
		if head == nil || head[3] != href || !strings.Contains(head[1], order) || (head[2] != "") != strings.Contains(path, "serial") {
			t.Errorf("%s: %q", path, head)
		}
	}
	f("/", "/?sort=serial", "ascending")
	f("/?sort=serial", "/?desc=1&amp;sort=serial", "ascending")
	f("/?sort=serial&desc=1", "/?sort=serial", "descending")
	f("/?sort=since", "/?sort=serial", "")
}

// All that a token's life may be is offered, up to both ends.
func TestTokenLives(t *testing.T) {
	x := sample()
	h := newConsole(t, x)
	page := ask(h, "GET", "/me", nil).Body.String()
	for _, life := range []string{"1h", "24h", "168h", "720h", "2160h", "8760h", "9600h"} {
		if !strings.Contains(page, `<option value="`+life+`"`) {
			t.Errorf("%s is not offered", life)
		}
		if w := ask(h, "POST", "/me/tokens", url.Values{"name": {"x"}, "scope": {"audit:read"}, "life": {life}}); w.Code != 200 {
			t.Errorf("%s: %d", life, w.Code)
		}
	}
}

// Every code can be chosen as the outcome, and what is chosen stays chosen.
func TestAuditOutcomes(t *testing.T) {
	h := newConsole(t, sample())
	for _, c := range append(fault.Codes(), "a_code_of_tomorrow") {
		body := ask(h, "GET", "/audit?outcome="+string(c), nil).Body.String()
		if !strings.Contains(body, `<option value="`+string(c)+`" selected>`) {
			t.Errorf("%s is not chosen", c)
		}
	}
	if body := ask(h, "GET", "/audit", nil).Body.String(); !strings.Contains(body, `<option value="wrong_login">Refused: wrong_login</option>`) {
		t.Error("the form does not offer a code")
	}
}

// The list says what ended each visit, and of no visit what did not.
func TestWhatEndedAVisitIsShown(t *testing.T) {
	for _, c := range append(fault.Endings(), fault.HandoverInvalid, "visit_ended_by_the_moon") {
		x := sample()
		x.visits[1].EndCode = c
		for _, at := range []string{"/visits", "/devices/" + string(deviceID(2))} {
			if body := ask(newConsole(t, x), "GET", at, nil).Body.String(); !strings.Contains(body, `<span class="why">`+fault.Ending(c)+`</span>`) {
				t.Errorf("%s: %s is not shown", at, c)
			}
		}
	}
}

// Forms have the bounds that the rules and the API have.
func TestFormsHaveTheRulesBounds(t *testing.T) {
	h := newConsole(t, sample())
	max := func(attribute string, n int) string { return fmt.Sprintf(`%s="%d"`, attribute, n) }
	for path, want := range map[string]string{
		"/me": max("maxlength", fleet.MaxPassword), "/resellers/add": max("max", fleet.MaxConnections), "/invitation/" + invitation: max("maxlength", fleet.MaxPassword),
	} {
		if body := ask(h, "GET", path, nil).Body.String(); !strings.Contains(body, want) {
			t.Errorf("%s lacks %s", path, want)
		}
	}
	for n, refused := range map[int]bool{fleet.MaxConnections: false, fleet.MaxConnections + 1: true} {
		w := ask(h, "POST", "/resellers/add", url.Values{"name": {"R"}, "connections": {fmt.Sprint(n)}, "email": {"r@acme.example"}, "person": {"R"}})
		if (w.Code == fault.Status(fault.Invalid)) != refused {
			t.Errorf("%d connections: %d", n, w.Code)
		}
	}
	for n, status := range map[int]int{fleet.MaxPassword: fault.Status(fault.WrongLogin), fleet.MaxPassword + 1: fault.Status(fault.Invalid)} {
		w := ask(h, "POST", "/sign-in", url.Values{"email": {goodEmail}, "password": {strings.Repeat("é", n)}}, signedOut)
		if w.Code != status || !strings.Contains(w.Body.String(), max("maxlength", fleet.MaxPassword)) {
			t.Errorf("a password of %d: %d", n, w.Code)
		}
	}
}

// The form gives a group what its row says and nothing of the default's: what no
// group can have is for the rules to refuse, beside the form.
func TestGroupsRightsAreHandedOnAsTyped(t *testing.T) {
	x := sample()
	h := newConsole(t, x)
	g := string(groupID(1))
	form := url.Values{"own": {g}, "r:default:See": {"on"}, "r:default:Manage people": {"on"}, "r:" + g + ":See": {"on"}}
	if w := ask(h, "POST", "/roles/technician", form); w.Code != 303 || x.given.Default != fleet.See|fleet.ManagePeople || x.given.Groups[groupID(1)] != fleet.See {
		t.Errorf("%d, given %+v", w.Code, x.given)
	}
	form.Set("r:"+g+":Manage people", "on")
	x.fail["SetRoleRights"] = fault.New(fault.Invalid, "Not in a group.").In("groups")
	w := ask(h, "POST", "/roles/technician", form)
	if w.Code != fault.Status(fault.Invalid) || !strings.Contains(w.Body.String(), "Not in a group.") || x.given.Groups[groupID(1)] != fleet.See|fleet.ManagePeople {
		t.Errorf("%d, given %+v", w.Code, x.given)
	}
}

// A refused form of rights shows what was ticked, and not what is on record.
func TestRefusedRightsAreShownAsTicked(t *testing.T) {
	x := sample()
	x.fail["SetRoleRights"] = fault.New(fault.Invalid, "Not so.").In("groups")
	g := string(groupID(1))
	boxes := []string{"r:default:Visit passwordless", "r:" + g + ":Visit with account"}
	for _, own := range []bool{true, false} { // a group's boxes come back also if its own box was forgotten
		form := url.Values{}
		for _, box := range boxes {
			form.Set(box, "on")
		}
		if own {
			form.Set("own", g)
		}
		page := ask(newConsole(t, x), "POST", "/roles/technician", form).Body.String()
		var ticked []string
		for _, m := range regexp.MustCompile(`name="([^"]+)" value="([^"]+)"[^>]* checked`).FindAllStringSubmatch(page, -1) {
			ticked = append(ticked, m[1]+"="+m[2])
		}
		want := []string{boxes[0] + "=on"}
		if own {
			want = append(want, "own="+g)
		}
		if want = append(want, boxes[1]+"=on"); !slices.Equal(ticked, want) {
			t.Errorf("ticked %q, want %q", ticked, want)
		}
	}
}

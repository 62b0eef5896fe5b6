package console_test

import (
	"flag"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
)

var update = flag.Bool("update", false, "write the golden files anew")

// hashes in asset names change with every edit of a style sheet.
var hashes = regexp.MustCompile(`(/assets/[a-z-]+)\.[0-9a-f]{12}\.`)

func TestGoldenPages(t *testing.T) {
	empty := newFake()
	empty.sub.Used = 0
	over := sample()
	over.sub = fleet.Subscription{Status: "Subscribed", Holder: "ACME Telecom", Connections: 3, Used: 3, Expires: noon.AddDate(1, 0, 0)}
	over.who.Role = fleet.RoleAuditor
	operator := sample()
	operator.sub.Root = true
	blind := sample()
	blind.unknown = noon.Add(-3 * time.Minute)
	blind.devices[0].Presence.Unknown, blind.devices[1].Presence.Unknown = blind.unknown, blind.unknown
	away := sample()
	away.fail["StartVisit"] = fault.New(fault.NotConnected, "Northside Clinic is not connected.")
	changed := sample()
	changed.fail["EditDevice"] = fault.New(fault.Changed, "Somebody has changed this meanwhile.")
	throttled := sample()
	throttled.fail["SignIn"] = fault.New(fault.TooMany, "Too many attempts to sign in.").After(150 * time.Second)

	for name, c := range map[string]struct {
		fake   *fake
		method string
		path   string
		form   url.Values
		status int
	}{
		"sign-in":           {sample(), "GET", "/sign-in?next=/visit/pbx-1", nil, 200},
		"sign-in-wrong":     {sample(), "POST", "/sign-in", url.Values{"email": {"eve@acme.example"}, "password": {"x"}, "next": {"/audit"}}, 401},
		"sign-in-throttled": {throttled, "POST", "/sign-in", url.Values{"email": {goodEmail}, "password": {"x"}}, 429},
		"devices":           {sample(), "GET", "/", nil, 200},
		"devices-empty":     {empty, "GET", "/", nil, 200},
		"devices-no-match":  {sample(), "GET", "/?q=zzz&status=connected", nil, 200},
		"devices-auditor":   {over, "GET", "/?status=disconnected", nil, 200},
		"device":            {sample(), "GET", "/devices/" + string(deviceID(1)), nil, 200},
		"remove":            {sample(), "GET", "/devices/" + string(deviceID(2)) + "/remove", nil, 200},
		"site":              {sample(), "GET", "/visit/pbx-00000002", nil, 200},
		"handover":          {sample(), "POST", "/devices/" + string(deviceID(1)) + "/visit", nil, 200},
		"visit-refused":     {away, "POST", "/devices/" + string(deviceID(2)) + "/visit", nil, 503},
		"visits":            {sample(), "GET", "/visits?notice=ended", nil, 200},
		"audit":             {sample(), "GET", "/audit?outcome=refused", nil, 200},
		"overview":          {sample(), "GET", "/overview", nil, 200},
		"overview-unknown":  {blind, "GET", "/overview", nil, 200},
		"devices-unknown":   {blind, "GET", "/", nil, 200},
		"add":               {sample(), "GET", "/devices/add", nil, 200},
		"code":              {sample(), "POST", "/devices/add", url.Values{"name": {"Acme"}}, 200},
		"groups":            {sample(), "GET", "/groups", nil, 200},
		"edit-changed":      {changed, "POST", "/devices/" + string(deviceID(1)) + "/edit", url.Values{"name": {"<i>typed</i>"}, "match": {"old"}}, 412},
		"selected":          {sample(), "POST", "/devices/selected", url.Values{"do": {"remove"}, "id": {string(deviceID(1)), string(deviceID(2))}, "back": {"//evil.example"}}, 200},
		"user-devices":      {sample(), "GET", "/user-devices?sort=since&desc=1", nil, 200},
		"subscription":      {sample(), "GET", "/subscription", nil, 200},
		"people":            {sample(), "GET", "/people", nil, 200},
		"person":            {sample(), "GET", "/people/" + string(userID(2)), nil, 200},
		"invited":           {sample(), "POST", "/people/invite", url.Values{"email": {"x@acme.example"}}, 200},
		"rights":            {sample(), "GET", "/roles/technician", nil, 200},
		"resellers":         {sample(), "GET", "/resellers", nil, 200},
		"reseller":          {sample(), "GET", "/resellers/" + string(accountID(2)), nil, 200},
		"reseller-remove":   {sample(), "GET", "/resellers/" + string(accountID(2)) + "/remove", nil, 200},
		"me":                {sample(), "GET", "/me", nil, 200},
		"tunnels":           {sample(), "GET", "/tunnels", nil, 200},
		"token":             {sample(), "POST", "/me/tokens", url.Values{"name": {"billing"}, "scope": {"audit:read"}, "life": {"168h"}}, 200},
		"invitation":        {sample(), "GET", "/invitation/" + invitation, nil, 200},
		"relays":            {operator, "GET", "/relays?sort=load&desc=1", nil, 200},
		"relays-no-match":   {operator, "GET", "/relays?q=zzz&state=silent", nil, 200},
		"not-found":         {sample(), "GET", "/nowhere", nil, 404},
	} {
		t.Run(name, func(t *testing.T) {
			w := ask(newConsole(t, c.fake), c.method, c.path, c.form, func(r *http.Request) {
				if name == "sign-in" {
					signedOut(r)
				}
			})
			if w.Code != c.status {
				t.Errorf("status %d, want %d", w.Code, c.status)
			}
			golden(t, name+".html", hashes.ReplaceAllString(w.Body.String(), "$1.HASH."))
		})
	}
}

// A form that was refused because somebody else was faster can be sent again:
// it carries the state that the page shows, and no old one.
func TestRefusedFormsCanBeSentAgain(t *testing.T) {
	for call, path := range map[string]string{
		"EditDevice": "/devices/" + string(deviceID(1)) + "/edit", "RenameGroup": "/groups/" + string(groupID(1)),
		"EditUser": "/people/" + string(userID(2)), "EditReseller": "/resellers/" + string(accountID(2)),
	} {
		f := sample()
		f.fail[call] = fault.New(fault.Changed, "Somebody has changed this meanwhile.")
		w := ask(newConsole(t, f), "POST", path, url.Values{"name": {"typed"}, "connections": {"1"}, "match": {"an old state"}})
		if w.Code != 412 || strings.Contains(w.Body.String(), "an old state") || !strings.Contains(w.Body.String(), `name="match"`) {
			t.Errorf("%s: %d\n%s", path, w.Code, w.Body)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s differs (-want +got); if it is meant, run with -update:\n%s", file, d)
	}
}

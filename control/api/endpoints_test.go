package api_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got, JSON, with a file; its diff is read like code.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	var indented bytes.Buffer
	if err := json.Indent(&indented, got, "", "  "); err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	indented.WriteByte('\n')
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, indented.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), indented.String()); diff != "" {
		t.Fatalf("%s (-want +got; -update accepts):\n%s", path, diff)
	}
}

func b64(n int) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, n)) }

var activation = fmt.Sprintf(`{"serial":"sn-0001","model":"P550","firmware":"37.20.0.1","public_key":%q,"proof":%q,`+
	`"hot_standby":{"type":"primary","role":"active","peer":"SN-0002"},"email":"anna@example.com","password":"pass\u0009word"}`, b64(32), b64(64))

var activationByCode = fmt.Sprintf(`{"serial":"sn-0001","model":"P550","firmware":"37.20.0.1","public_key":%q,"proof":%q,"code":"K7QM-4XWZ-9T2P-HD3V"}`, b64(32), b64(64))

// calls are one good request to every endpoint but the streams and
// the document, and what fleet is to be asked.
var calls = []struct {
	name, method, path, body string
	status                   int
	asked                    []any
}{
	{"activate", "POST", "/activations", activation, 200, []any{fleet.Activation{
		Serial: "SN-0001", Model: "P550", Firmware: "37.20.0.1", Key: bytes.Repeat([]byte{7}, 32), Proof: bytes.Repeat([]byte{7}, 64),
		HotStandby: fleet.HotStandby{Enabled: true, Type: "primary", Role: "active", Peer: "SN-0002"},
		Email:      "anna@example.com", Password: "pass\tword", Remote: remote}}},
	{"activate", "POST", "/activations", activationByCode, 200, []any{fleet.Activation{
		Serial: "SN-0001", Model: "P550", Firmware: "37.20.0.1", Key: bytes.Repeat([]byte{7}, 32), Proof: bytes.Repeat([]byte{7}, 64),
		Code: "K7QM-4XWZ-9T2P-HD3V", Remote: remote}}},
	{"renewPass", "POST", "/passes", fmt.Sprintf(`{"device":%q,"nonce":%q,"proof":%q}`, aDevice, b64(16), b64(64)), 200, []any{fleet.Renewal{
		Device: aDevice, Nonce: bytes.Repeat([]byte{7}, 16), Proof: bytes.Repeat([]byte{7}, 64), Remote: remote}}},
	{"signIn", "POST", "/sessions", `{"email":"anna@example.com","password":"x"}`, 201, []any{"anna@example.com", "x", remote}},
	{"signOut", "DELETE", "/sessions/current", "", 204, []any{me()}},
	{"getMe", "GET", "/me", "", 200, []any{me()}},
	{"changePassword", "PUT", "/me/password", `{"old":"a","new":"a new password"}`, 204, []any{me(), "a", "a new password"}},
	{"getInvitation", "GET", "/invitations/once", "", 200, []any{"once", remote}},
	{"acceptInvitation", "POST", "/invitations/once/acceptance", `{"password":"a new password"}`, 201, []any{"once", "a new password", remote}},

	{"listDevices", "GET", "/devices?search=ac&status=connected&limit=7&cursor=c", "", 200, []any{me(),
		fleet.DeviceQuery{Search: "ac", Status: fleet.StatusConnected, Cursor: "c", Limit: 7}}},
	{"listDevices", "GET", "/devices?group=none&sort=since&order=desc", "", 200, []any{me(),
		fleet.DeviceQuery{Group: fleet.GroupNone, Sort: "since", Desc: true, Limit: 50}}},
	{"listDevices", "GET", "/devices?scope=sub&account=" + string(aReseller) + "&group=" + string(aGroup), "", 200, []any{me(),
		fleet.DeviceQuery{Sub: true, Account: aReseller, Group: string(aGroup), Limit: 50}}},
	{"addDevice", "POST", "/devices", `{"name":"Acme","group":"` + string(aGroup) + `","comment":"c","passwordless":true,"region":"eu","second_tunnel":"on","code_life_seconds":3600}`, 201,
		[]any{me(), fleet.NewDevice{Name: "Acme", Group: aGroup, Comment: "c", Passwordless: true, Region: "eu", Second: fleet.On, CodeLife: time.Hour}}},
	{"getDevice", "GET", "/devices/" + string(aDevice), "", 200, []any{me(), aDevice}},
	{"editDevice", "PATCH", "/devices/" + string(aDevice), `{"group":"none","passwordless":false,"region":"","second_tunnel":"account"}`, 200, []any{me(), aDevice,
		fleet.DeviceEdit{Group: new(id.Group), Passwordless: new(bool), Region: new(string), Second: new(fleet.Override)}}},
	{"removeDevice", "DELETE", "/devices/" + string(aDevice), "", 204, []any{me(), aDevice, ""}},
	{"removeDevices", "POST", "/devices/removals", `{"devices":["` + string(aDevice) + `"]}`, 200, []any{me(), []id.Device{aDevice}}},
	{"issueCode", "POST", "/devices/" + string(aDevice) + "/code", "", 201, []any{me(), aDevice, time.Duration(0)}},
	{"issueCode", "POST", "/devices/" + string(aDevice) + "/code", `{"life_seconds":7200}`, 201, []any{me(), aDevice, 2 * time.Hour}},
	{"revokeCode", "DELETE", "/devices/" + string(aDevice) + "/code", "", 200, []any{me(), aDevice}},
	{"listDeviceEvents", "GET", "/devices/" + string(aDevice) + "/events?limit=3", "", 200, []any{me(), aDevice, "", 3}},

	{"listGroups", "GET", "/groups", "", 200, []any{me(), "", 50}},
	{"listGroups", "GET", "/groups?limit=7&cursor=c", "", 200, []any{me(), "c", 7}},
	{"addGroup", "POST", "/groups", `{"name":"Branches"}`, 201, []any{me(), "Branches"}},
	{"getGroup", "GET", "/groups/" + string(aGroup), "", 200, []any{me()}},
	{"renameGroup", "PATCH", "/groups/" + string(aGroup), `{"name":"Branches"}`, 200, []any{me(), aGroup, "Branches", ""}},
	{"removeGroup", "DELETE", "/groups/" + string(aGroup), "", 204, []any{me(), aGroup, ""}},

	{"startVisit", "POST", "/visits", fmt.Sprintf(`{"device":%q,"method":"passwordless"}`, aDevice), 201, []any{me(),
		fleet.VisitRequest{Device: aDevice, Method: "passwordless"}}},
	{"startVisit", "POST", "/visits", `{"site":"pbx-acme"}`, 201, []any{me(), fleet.VisitRequest{Site: "pbx-acme"}}},
	{"listVisits", "GET", "/visits?limit=200", "", 200, []any{me(), fleet.VisitQuery{Limit: 200}}},
	{"listVisits", "GET", "/visits?live=true&user=" + string(aUser) + "&device=" + string(aDevice), "", 200, []any{me(),
		fleet.VisitQuery{Live: true, User: aUser, Device: aDevice, Limit: 50}}},
	{"listVisits", "GET", "/visits?ended=true", "", 200, []any{me(), fleet.VisitQuery{Ended: true, Limit: 50}}},
	{"endVisit", "DELETE", "/visits/" + string(aVisit), "", 204, []any{me(), aVisit}},
	{"endVisitsOf", "DELETE", "/visits?user=" + string(aUser), "", 200, []any{me(), aUser}},

	{"getOverview", "GET", "/overview", "", 200, []any{me()}},
	{"getSubscription", "GET", "/subscription", "", 200, []any{me()}},
	{"installLicence", "PUT", "/subscription/licence", `"a\nb"`, 200, []any{me(), "a\nb"}},
	{"getTunnelSettings", "GET", "/tunnel-settings", "", 200, []any{me()}},
	{"editTunnelSettings", "PATCH", "/tunnel-settings", `{"region":"","second_tunnel":false}`, 200, []any{me(),
		fleet.WishEdit{Region: new(string), Second: new(bool)}}},
	{"listRelays", "GET", "/relays?search=eu&state=silent&sort=load&order=desc&limit=7&cursor=c", "", 200, []any{me(),
		fleet.RelayQuery{Search: "eu", State: fleet.RelaySilent, Sort: "load", Desc: true, Cursor: "c", Limit: 7}}},
	{"listResellers", "GET", "/resellers?search=x", "", 200, []any{me(), fleet.ListQuery{Search: "x", Limit: 50}}},
	{"addReseller", "POST", "/resellers", `{"name":"Resold","connections":5,"email":"ben@example.com","person":"Ben"}`, 201, []any{me(),
		fleet.NewReseller{Name: "Resold", Connections: 5, Email: "ben@example.com", Person: "Ben"}}},
	{"getReseller", "GET", "/resellers/" + string(aReseller), "", 200, []any{me(), aReseller}},
	{"editReseller", "PATCH", "/resellers/" + string(aReseller), `{"connections":0}`, 200, []any{me(), aReseller, fleet.ResellerEdit{Connections: new(int)}}},
	{"removeReseller", "DELETE", "/resellers/" + string(aReseller), "", 204, []any{me(), aReseller, ""}},
	{"listAudit", "GET", "/audit?action=sign_in", "", 200, []any{me(), fleet.AuditQuery{Action: "sign_in", Limit: 50}}},
	{"listAudit", "GET", "/audit?actor=a&outcome=refused&from=2026-03-01T12:00:00Z&to=2026-03-01T13:00:00Z", "", 200, []any{me(),
		fleet.AuditQuery{Actor: "a", Outcome: "refused", From: then, To: then.Add(time.Hour), Limit: 50}}},

	{"listUsers", "GET", "/users", "", 200, []any{me(), fleet.ListQuery{Limit: 50}}},
	{"inviteUser", "POST", "/users", `{"email":"ben@example.com","name":"Ben","role":"technician"}`, 201, []any{me(),
		fleet.NewUser{Email: "ben@example.com", Name: "Ben", Role: fleet.RoleTechnician}}},
	{"getUser", "GET", "/users/" + string(aUser), "", 200, []any{me(), aUser}},
	{"editUser", "PATCH", "/users/" + string(aUser), `{"disabled":false}`, 200, []any{me(), aUser, fleet.UserEdit{Disabled: new(bool)}}},
	{"removeUser", "DELETE", "/users/" + string(aUser), "", 204, []any{me(), aUser, ""}},
	{"reinviteUser", "POST", "/users/" + string(aUser) + "/invitation", "", 201, []any{me(), aUser}},

	{"listRoles", "GET", "/roles", "", 200, []any{me()}},
	{"getRole", "GET", "/roles/technician", "", 200, []any{me()}},
	{"setRole", "PUT", "/roles/technician", `{"default":["see"],"groups":[{"group":"` + string(aGroup) + `","rights":["visit_account","see"]}]}`, 200,
		[]any{me(), fleet.RoleTechnician, seeing, ""}},
	{"listTokens", "GET", "/tokens", "", 200, []any{me(), "", 50}},
	{"listTokens", "GET", "/tokens?limit=7&cursor=c", "", 200, []any{me(), "c", 7}},
	{"addToken", "POST", "/tokens", `{"name":"Backup","scopes":["devices:read"],"life_seconds":3600}`, 201, []any{me(),
		fleet.NewToken{Name: "Backup", Scopes: []string{"devices:read"}, Life: time.Hour}}},
	{"revokeToken", "DELETE", "/tokens/" + string(aToken), "", 204, []any{me(), aToken}},
}

func me() fleet.Principal {
	p := anna
	p.Remote = remote
	return p
}

func TestEndpoints(t *testing.T) {
	for _, c := range calls {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			rec := w.do(c.method, "/api/v1"+c.path, c.body)
			if rec.Code != c.status {
				t.Fatalf("%d %s", rec.Code, rec.Body)
			}
			if diff := cmp.Diff(c.asked, w.fleet.last(), cmpopts.EquateComparable(remote)); diff != "" {
				t.Errorf("fleet was asked (-want +got):\n%s", diff)
			}
			if strings.Contains(rec.Body.String(), "argon2id") {
				t.Error("the answer has the password's hash")
			}
			if c.status == 204 {
				if rec.Body.Len() != 0 {
					t.Errorf("body %q", rec.Body)
				}
				return
			}
			golden(t, c.name+".json", rec.Body.Bytes())
		})
	}
}

// Whatever fleet refuses arrives as a problem with the code, its status and
// the retry hint; whatever else goes wrong arrives as a reference only.
func TestRefusalsOfFleet(t *testing.T) {
	for _, c := range calls {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			for _, code := range fault.Codes() {
				if code == fault.Internal {
					continue
				}
				w.fleet.err = fmt.Errorf("read: %w", fault.New(code, "Do that.").In("x").After(1500*time.Millisecond))
				rec := w.do(c.method, "/api/v1"+c.path, c.body)
				p := problem(t, rec)
				if rec.Code != fault.Status(code) || p.Code != code || p.Detail != "Do that." || p.Field != "x" || p.RetryAfter != 2 ||
					rec.Header().Get("Retry-After") != "2" || p.Reference != "" {
					t.Fatalf("%s: %d %+v", code, rec.Code, p)
				}
			}
			w.logs.TakeAll()
			w.fleet.err = errors.New("secret path /var/lib is full")
			rec := w.do(c.method, "/api/v1"+c.path, c.body)
			p := problem(t, rec)
			if rec.Code != 500 || p.Code != fault.Internal || p.Reference == "" || strings.Contains(rec.Body.String(), "secret path") {
				t.Fatalf("%d %s", rec.Code, rec.Body)
			}
			logged := w.logs.TakeAll()
			if len(logged) != 1 {
				t.Fatalf("%d log events", len(logged))
			}
			if m := logged[0].ContextMap(); m["reference"] != p.Reference || m["error"] != "secret path /var/lib is full" {
				t.Fatalf("%v", m)
			}
		})
	}
}

func problem(t *testing.T, rec interface{ Result() *http.Response }) fault.Problem {
	t.Helper()
	resp := rec.Result()
	var p fault.Problem
	if ct := resp.Header.Get("Content-Type"); ct != "application/problem+json" {
		t.Fatalf("%d of type %q", resp.StatusCode, ct)
	}
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
		t.Fatal(err)
	}
	if p.Status != resp.StatusCode || p.Title == "" || p.Type == "" || p.Code == "" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%+v", p)
	}
	return p
}

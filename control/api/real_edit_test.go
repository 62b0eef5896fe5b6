package api_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"trunkline/control/api"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

func refusedAs(t *testing.T, want fault.Code, err error) {
	t.Helper()
	if fault.CodeOf(err) != want {
		t.Errorf("%v, not %s", err, want)
	}
}

func (w *realWorld) anna(t *testing.T) *controlapi.Client {
	t.Helper()
	return w.client(t).WithToken(must(w.client(t).SignIn(t.Context(), "anna@example.com", password))(t).Token)
}

// Two people edit one thing: the second one is told, whatever it is.
func TestEditsThatMeet(t *testing.T) {
	w := newRealWorld(t)
	c, ctx := w.anna(t), t.Context()
	name, other, yes := "First", "Second", true
	d := must(c.AddDevice(ctx, controlapi.NewDevice{Name: "PBX"}))(t).Device
	g := must(c.AddGroup(ctx, "Group"))(t)
	u := must(c.InviteUser(ctx, controlapi.NewUser{Email: "ben@example.com", Name: "Ben", Role: "technician"}))(t).User
	r := must(c.AddReseller(ctx, controlapi.NewReseller{Name: "Resold", Email: "carl@example.com", Person: "Carl"}))(t).Reseller
	connections := 3
	for what, edit := range map[string]struct {
		tag          func() string
		first, later func(c *controlapi.Client) error
	}{
		"device": {
			func() string { return must(c.TaggedDevice(ctx, d.ID))(t).ETag },
			func(c *controlapi.Client) error {
				_, err := c.EditDevice(ctx, d.ID, controlapi.DeviceEdit{Name: &name})
				return err
			},
			func(c *controlapi.Client) error { return c.RemoveDevice(ctx, d.ID) },
		},
		"group": {
			func() string { return must(c.Group(ctx, g.Value.ID))(t).ETag },
			func(c *controlapi.Client) error { _, err := c.RenameGroup(ctx, g.Value.ID, name); return err },
			func(c *controlapi.Client) error { _, err := c.RenameGroup(ctx, g.Value.ID, other); return err },
		},
		"user": {
			func() string { return must(c.User(ctx, u.ID))(t).ETag },
			func(c *controlapi.Client) error {
				_, err := c.EditUser(ctx, u.ID, controlapi.UserEdit{Disabled: &yes})
				return err
			},
			func(c *controlapi.Client) error { return c.RemoveUser(ctx, u.ID) },
		},
		"role": {
			func() string { return must(c.Role(ctx, "technician"))(t).ETag },
			func(c *controlapi.Client) error {
				_, err := c.SetRole(ctx, "technician", controlapi.Access{Default: []string{"see"}})
				return err
			},
			func(c *controlapi.Client) error {
				_, err := c.SetRole(ctx, "technician", controlapi.Access{Default: []string{}})
				return err
			},
		},
		"reseller": {
			func() string { return must(c.Reseller(ctx, r.ID))(t).ETag },
			func(c *controlapi.Client) error {
				_, err := c.EditReseller(ctx, r.ID, controlapi.ResellerEdit{Connections: &connections})
				return err
			},
			func(c *controlapi.Client) error { return c.RemoveReseller(ctx, r.ID) },
		},
	} {
		t.Run(what, func(t *testing.T) {
			stale := edit.tag()
			if err := edit.first(c.IfMatch(stale)); err != nil {
				t.Fatal(err)
			}
			refusedAs(t, fault.Changed, edit.later(c.IfMatch(stale)))
			refusedAs(t, fault.Changed, edit.later(c.IfMatch("W/"+edit.tag())))
			refusedAs(t, fault.Invalid, edit.later(c.IfMatch("bare")))
			if err := edit.later(c.IfMatch(edit.tag())); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWhatTheClientHasIsNotSentAgain(t *testing.T) {
	w := newRealWorld(t)
	c, ctx := w.anna(t), t.Context()
	token := must(w.client(t).SignIn(ctx, "anna@example.com", password))(t).Token
	d := must(c.AddDevice(ctx, controlapi.NewDevice{Name: "PBX"}))(t).Device
	path := "/api/v1/devices/" + string(d.ID)
	etag := must(c.TaggedDevice(ctx, d.ID))(t).ETag
	for given, want := range map[string]int{etag: 304, `"x", ` + etag: 304, "W/" + etag: 304, "*": 304, `"x"`: 200, "": 200} {
		rec := do(w, token, "GET", path, "", "If-None-Match", given)
		if rec.Code != want || rec.Header().Get("ETag") != etag || want == 304 && rec.Body.Len() != 0 {
			t.Errorf("%s: %d %v", given, rec.Code, rec.Header())
		}
	}
	// The code is no part of what can be edited, but it is in the answer.
	must(c.IssueCode(ctx, d.ID, controlapi.CodeRequest{LifeSeconds: 7200}))(t)
	if rec := do(w, token, "GET", path, "", "If-None-Match", etag); rec.Code != 200 {
		t.Errorf("after a new code: %d", rec.Code)
	}
}

// The answer to "add a device" was lost. Asked again, also in parallel, there
// is one device, and its code.
func TestDeviceIsAddedOnce(t *testing.T) {
	w := newRealWorld(t)
	c, ctx := w.anna(t), t.Context()
	q := controlapi.NewDevice{Name: "PBX"}
	first := must(c.Once("k").AddDevice(ctx, q))(t)
	again := must(c.Once("k").AddDevice(ctx, q))(t)
	if again.Code != first.Code || again.Device.ID != first.Device.ID || first.Code == "" {
		t.Errorf("%+v, then %+v", first, again)
	}
	_, err := c.Once("k").AddDevice(ctx, controlapi.NewDevice{Name: "Another"})
	refusedAs(t, fault.KeyReused, err)
	_, err = c.Once("k").AddGroup(ctx, "PBX")
	refusedAs(t, fault.KeyReused, err)

	var mu sync.Mutex
	var wg sync.WaitGroup
	made := map[id.Device]int{}
	for range 10 {
		wg.Go(func() {
			got, err := c.Once("parallel").AddDevice(ctx, q)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made[got.Device.ID]++
			} else if fault.CodeOf(err) != fault.InProgress {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if page := must(c.Devices(ctx, controlapi.DeviceQuery{}))(t); len(made) != 1 || page.Total != 2 {
		t.Errorf("%d devices, answers %v", page.Total, made)
	}
	// A refusal is no answer to keep: what was in its way may go.
	g := must(c.AddGroup(ctx, "Taken"))(t).Value
	_, err = c.Once("group").AddGroup(ctx, "Taken")
	refusedAs(t, fault.Taken, err)
	if err := c.RemoveGroup(ctx, g.ID); err != nil {
		t.Fatal(err)
	}
	must(c.Once("group").AddGroup(ctx, "Taken"))(t)
}

func TestAPITokens(t *testing.T) {
	w := newRealWorld(t)
	c, ctx := w.anna(t), t.Context()
	made := must(c.AddToken(ctx, controlapi.NewToken{Name: "Backup", Scopes: []string{"devices:read", "audit:read"}, LifeSeconds: 3600}))(t)
	by := w.client(t).WithToken(made.Secret)
	if me := must(by.Me(ctx))(t); me.Token != made.Token.ID || !slices.Equal(me.Scopes, []string{"devices:read", "audit:read"}) || me.User.Email != "anna@example.com" {
		t.Errorf("%+v", me)
	}
	must(by.Devices(ctx, controlapi.DeviceQuery{}))(t)
	must(by.Audit(ctx, controlapi.AuditQuery{}))(t)
	_, err := by.AddDevice(ctx, controlapi.NewDevice{Name: "PBX"})
	refusedAs(t, fault.Scope, err)
	_, err = by.Users(ctx, controlapi.ListQuery{})
	refusedAs(t, fault.Scope, err)
	_, err = by.AddToken(ctx, controlapi.NewToken{Name: "Child", Scopes: []string{"devices:read"}, LifeSeconds: 3600})
	refusedAs(t, fault.Scope, err)
	refusedAs(t, fault.Scope, by.ChangePassword(ctx, password, password+"!"))
	refusedAs(t, fault.Scope, by.SignOut(ctx))
	if err := c.RevokeToken(ctx, made.Token.ID); err != nil {
		t.Fatal(err)
	}
	_, err = by.Devices(ctx, controlapi.DeviceQuery{})
	refusedAs(t, fault.SignInNeeded, err)
}

// The files have what the lists have.
func TestDownloads(t *testing.T) {
	w := newRealWorld(t)
	c, ctx := w.anna(t), t.Context()
	var ids controlapi.DeviceIDs
	for i := range 30 {
		d := must(c.AddDevice(ctx, controlapi.NewDevice{Name: fmt.Sprintf("=PBX %03d", i)}))(t)
		ids = append(ids, d.Device.ID)
	}
	rows := func(q controlapi.DeviceExport) [][]string {
		t.Helper()
		var out bytes.Buffer
		if err := c.ExportDevices(ctx, q, &out); err != nil {
			t.Fatal(err)
		}
		r := csv.NewReader(strings.NewReader(strings.TrimPrefix(out.String(), "\ufeff")))
		return must(r.ReadAll())(t)[1:]
	}
	if all := rows(controlapi.DeviceExport{Format: "csv"}); len(all) != 30 || all[0][0] != "'=PBX 000" || all[29][0] != "'=PBX 029" {
		t.Errorf("%d rows", len(all))
	}
	if some := rows(controlapi.DeviceExport{Format: "csv", Select: ids[:2]}); len(some) != 2 {
		t.Errorf("%d rows of a selection", len(some))
	}
	if found := rows(controlapi.DeviceExport{Format: "csv", DeviceFilter: controlapi.DeviceFilter{Search: "pbx 02", Order: "desc"}}); len(found) != 10 || found[0][0] != "'=PBX 029" {
		t.Errorf("%v", found)
	}
	var book bytes.Buffer
	if err := c.ExportDevices(ctx, controlapi.DeviceExport{Format: "xlsx"}, &book); err != nil || !bytes.HasPrefix(book.Bytes(), []byte("PK")) {
		t.Error(err, book.Len())
	}
	var lines bytes.Buffer
	if err := c.ExportAudit(ctx, controlapi.AuditFilter{Action: "device_add"}, &lines); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(lines.String()) {
		var e controlapi.AuditEntry
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Action != "device_add" {
			t.Fatal(line, err)
		}
	}
	if n := strings.Count(lines.String(), "\n"); n != 30 {
		t.Errorf("%d entries", n)
	}
}

// An error before the first chunk is a problem document like any; one after it
// cuts the file, so that nobody takes it for a whole one.
func TestDownloadThatFails(t *testing.T) {
	w := newWorld(t, api.Limits{})
	for _, path := range []string{"/devices/export?format=csv", "/devices/export?format=xlsx", "/audit/export"} {
		w.fleet.err = fault.New(fault.Forbidden, "No.")
		if p := problem(t, w.do("GET", "/api/v1"+path, "")); p.Code != fault.Forbidden {
			t.Errorf("%s: %+v", path, p)
		}
	}
	w.fleet.err, w.fleet.endless = nil, errors.New("the database went away")
	for _, path := range []string{"/devices/export?format=csv", "/audit/export"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: nothing cut it", path)
				}
			}()
			w.do("GET", "/api/v1"+path, "")
		}()
		logged := w.logs.TakeAll()
		if m := logged[len(logged)-1].ContextMap(); m["code"] != "internal" || m["reference"] == nil || m["error"] != "the database went away" {
			t.Errorf("%s: %v", path, m)
		}
	}
}

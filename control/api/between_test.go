package api_test

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"

	"trunkline/control/api"
	"trunkline/control/fleet"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// between is a fleet where somebody edits a thing in the moment before it is
// removed: after everything that the API may have read for it.
type between struct {
	*fleet.Fleet
	edit func()
}

func (b between) RemoveDevice(ctx context.Context, p fleet.Principal, d id.Device, match string) error {
	b.edit()
	return b.Fleet.RemoveDevice(ctx, p, d, match)
}

func (b between) RemoveGroup(ctx context.Context, p fleet.Principal, g id.Group, match string) error {
	b.edit()
	return b.Fleet.RemoveGroup(ctx, p, g, match)
}

func (b between) RemoveUser(ctx context.Context, p fleet.Principal, u id.User, match string) error {
	b.edit()
	return b.Fleet.RemoveUser(ctx, p, u, match)
}

func (b between) RemoveReseller(ctx context.Context, p fleet.Principal, a id.Account, match string) error {
	b.edit()
	return b.Fleet.RemoveReseller(ctx, p, a, match)
}

// A removal with If-Match is refused also if the change comes at the last
// moment, and then the thing is still there.
func TestChangeBetweenIfMatchAndRemoval(t *testing.T) {
	w := newRealWorld(t)
	c, ctx, name := w.anna(t), t.Context(), "Edited"
	d := must(c.AddDevice(ctx, controlapi.NewDevice{Name: "PBX"}))(t).Device
	g := must(c.AddGroup(ctx, "Group"))(t)
	u := must(c.InviteUser(ctx, controlapi.NewUser{Email: "ben@example.com", Name: "Ben", Role: "technician"}))(t).User
	r := must(c.AddReseller(ctx, controlapi.NewReseller{Name: "Resold", Email: "carl@example.com", Person: "Carl"}))(t).Reseller
	for path, edit := range map[string]func() error{
		"/devices/" + string(d.ID):      func() error { _, err := c.EditDevice(ctx, d.ID, controlapi.DeviceEdit{Name: &name}); return err },
		"/groups/" + string(g.Value.ID): func() error { _, err := c.RenameGroup(ctx, g.Value.ID, name); return err },
		"/users/" + string(u.ID):        func() error { _, err := c.EditUser(ctx, u.ID, controlapi.UserEdit{Name: &name}); return err },
		"/resellers/" + string(r.ID):    func() error { _, err := c.EditReseller(ctx, r.ID, controlapi.ResellerEdit{Name: &name}); return err },
	} {
		path = "/api/v1" + path
		token := must(w.client(t).SignIn(ctx, "anna@example.com", password))(t).Token
		h := api.New(api.Options{
			Fleet: between{w.fleet, func() {
				if err := edit(); err != nil {
					t.Error(err)
				}
			}},
			SiteURL: func(id.Site) string { return "" }, Limits: func() api.Limits { return api.Limits{} },
			Log: zaptest.NewLogger(t), Registerer: prometheus.NewRegistry(),
		})
		read := func() *httptest.ResponseRecorder { return do(w, token, "GET", path, "") }
		if p := problem(t, do(h, token, "DELETE", path, "", "If-Match", read().Header().Get("ETag"))); p.Code != fault.Changed {
			t.Errorf("%s: %+v", path, p)
		}
		if rec := read(); rec.Code != 200 {
			t.Errorf("%s has gone: %d", path, rec.Code)
		}
		if rec := do(w, token, "DELETE", path, "", "If-Match", read().Header().Get("ETag")); rec.Code != 204 {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
}

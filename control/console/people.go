package console

import (
	"net/http"
	"net/url"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

type peopleView struct {
	SearchBox searchBox
	Rows      []userView
	Pager     pager
	CanInvite bool
}

type userView struct {
	fleet.User
	State, StateKey string
	Self            bool
}

func (c *console) userView(p fleet.Principal, u fleet.User) userView {
	v := userView{User: u, State: "Active", StateKey: "ok", Self: u.ID == p.User}
	switch {
	case u.Disabled:
		v.State, v.StateKey = "Disabled", "down"
	case !u.Invited.IsZero() && c.now().Before(u.Invited):
		v.State, v.StateKey = "Invited", "never"
	case !u.Invited.IsZero():
		v.State, v.StateKey = "Invitation expired", "off"
	}
	return v
}

func (c *console) peoplePage(w *response, r *http.Request, p fleet.Principal) error {
	q, err := parseList(r)
	if err != nil {
		return err
	}
	got, err := c.o.Fleet.Users(r.Context(), p, fleet.ListQuery{Search: q.Search, Cursor: q.Cursor, Limit: pageSize})
	if err != nil {
		return err
	}
	v := peopleView{
		SearchBox: searchBox{Action: "/people", Label: "Search people", Placeholder: "Name or e-mail", Value: q.Search},
		Pager:     q.pager("/people", url.Values{}, len(got.Items), got.Total, got.Next).of(got.More),
		CanInvite: offersPeople(p),
	}
	for _, u := range got.Items {
		v.Rows = append(v.Rows, c.userView(p, u))
	}
	return c.show(w, r, p, http.StatusOK, "people", page{Title: "People", Nav: "people", Data: v, Poll: slowPoll, Notice: notices[r.URL.Query().Get("notice")]})
}

// roles are what a person can be made, with what each means.
var roles = []struct {
	role fleet.Role
	text string
}{
	{fleet.RoleOwner, "Owner: everything, always"},
	{fleet.RoleAdmin, "Admin: as the rights say, at first everything"},
	{fleet.RoleTechnician, "Technician: as the rights say, at first sees and visits"},
	{fleet.RoleAuditor, "Auditor: reads everything, changes and visits nothing"},
}

func roleOptions(p fleet.Principal, chosen fleet.Role) []option {
	var out []option
	for _, x := range roles {
		if x.role == fleet.RoleOwner && p.Role != fleet.RoleOwner && chosen != fleet.RoleOwner {
			continue
		}
		out = append(out, option{string(x.role), x.text, x.role == chosen})
	}
	return out
}

func inviteForm(p fleet.Principal) form {
	return form{Action: "/people/invite", Submit: "Invite", Cancel: "/people", Inputs: []input{
		{Name: "email", Label: "E-mail", Kind: "email", Max: 254, Required: true, Focus: true, Autocomplete: "off"},
		{Name: "name", Label: "Name", Kind: "text", Max: 100, Required: true, Autocomplete: "off"},
		{Name: "role", Label: "Role", Kind: "select", Options: roleOptions(p, fleet.RoleTechnician)},
	}}
}

func (c *console) invitePage(w *response, r *http.Request, p fleet.Principal) error {
	return c.showInvite(w, r, p, inviteForm(p))
}

func (c *console) showInvite(w *response, r *http.Request, p fleet.Principal, f form) error {
	return c.showForm(w, r, p, "people", formPage{
		Title: "Invite a colleague", Crumb: &link{"/people", "People"}, Form: f,
		Lead: "You get a link to send. Whoever opens it within 48 hours chooses the password; nobody else ever knows it.",
	})
}

func (c *console) invite(w *response, r *http.Request, p fleet.Principal) error {
	inv, err := c.o.Fleet.InviteUser(r.Context(), p, fleet.NewUser{
		Email: r.PostFormValue("email"), Name: r.PostFormValue("name"), Role: fleet.Role(r.PostFormValue("role")),
	})
	if err != nil {
		f := inviteForm(p)
		f.filled(r)
		if !f.refused(err) {
			return err
		}
		w.code = f.Code
		return c.showInvite(w, r, p, f)
	}
	return c.showLink(w, r, p, inv, "/people")
}

// linkView shows an invitation, once.
type linkView struct {
	User    fleet.User
	Link    string
	Expires time.Time
	Back    string
}

func (c *console) showLink(w *response, r *http.Request, p fleet.Principal, inv fleet.Invitation, back string) error {
	return c.show(w, r, p, http.StatusOK, "link", page{Title: "Invitation", Nav: "people", Data: linkView{
		User: inv.User, Link: "https://console." + c.o.Zone + c.o.Port + "/invitation/" + inv.Token, Expires: inv.Expires, Back: back,
	}})
}

type personDetail struct {
	User      userView
	Form      form
	CanChange bool
}

func (c *console) personPage(w *response, r *http.Request, p fleet.Principal) error {
	u, err := c.loadUser(r, p)
	if err != nil {
		return err
	}
	return c.showPerson(w, r, p, u, personForm(p, u))
}

func (c *console) loadUser(r *http.Request, p fleet.Principal) (fleet.User, error) {
	u, err := pathUser(r)
	if err != nil {
		return fleet.User{}, err
	}
	return c.o.Fleet.User(r.Context(), p, u)
}

func personForm(p fleet.Principal, u fleet.User) form {
	return form{Action: "/people/" + string(u.ID), Submit: "Save", Cancel: "/people", Inputs: []input{
		{Name: "match", Kind: "hidden", Value: u.Tag()},
		{Name: "name", Label: "Name", Kind: "text", Max: 100, Required: true, Value: u.Name, Autocomplete: "off"},
		{Name: "role", Label: "Role", Kind: "select", Options: roleOptions(p, u.Role)},
		{Name: "disabled", Label: "Disabled", Kind: "checkbox", Checked: u.Disabled, Hint: "Ends the person's sessions, API tokens and visits at once, and lets nobody in until it is taken back."},
	}}
}

func (c *console) showPerson(w *response, r *http.Request, p fleet.Principal, u fleet.User, f form) error {
	v := personDetail{User: c.userView(p, u), Form: f, CanChange: offersPeople(p)}
	return c.show(w, r, p, statusOf(f), "person", page{Title: plain(u.Name), Nav: "people", Data: v, Notice: notices[r.URL.Query().Get("notice")]})
}

func (c *console) editPerson(w *response, r *http.Request, p fleet.Principal) error {
	u, err := c.loadUser(r, p)
	if err != nil {
		return err
	}
	name, role, disabled := r.PostFormValue("name"), fleet.Role(r.PostFormValue("role")), r.PostFormValue("disabled") != ""
	_, err = c.o.Fleet.EditUser(r.Context(), p, u.ID, fleet.UserEdit{Match: r.PostFormValue("match"), Name: &name, Role: &role, Disabled: &disabled})
	if err != nil {
		f := personForm(p, u)
		f.filled(r)
		if !f.refused(err) {
			return err
		}
		w.code = f.Code
		return c.showPerson(w, r, p, u, f)
	}
	return w.redirect("/people/" + string(u.ID) + "?notice=saved")
}

func (c *console) reinvite(w *response, r *http.Request, p fleet.Principal) error {
	u, err := pathUser(r)
	if err != nil {
		return err
	}
	inv, err := c.o.Fleet.ReinviteUser(r.Context(), p, u)
	if err != nil {
		return err
	}
	return c.showLink(w, r, p, inv, "/people/"+string(u))
}

func (c *console) removePersonPage(w *response, r *http.Request, p fleet.Principal) error {
	u, err := c.loadUser(r, p)
	if err != nil {
		return err
	}
	at := "/people/" + string(u.ID)
	return c.confirm(w, r, p, "people", confirmation{
		Question: "Remove " + plain(u.Name) + "?",
		Facts:    []fact{{"E-mail", u.Email}, {"Role", string(u.Role)}},
		Lines:    []string{"Sessions, API tokens and visits of this person end at once.", "What the person did stays in the audit log."},
		Form:     form{Action: at + "/remove", Submit: "Remove", Cancel: at},
	})
}

func (c *console) removePerson(w *response, r *http.Request, p fleet.Principal) error {
	u, err := pathUser(r)
	if err != nil {
		return err
	}
	if err := c.o.Fleet.RemoveUser(r.Context(), p, u, ""); err != nil {
		return err
	}
	return w.redirect("/people?notice=gone")
}

func pathAccount(r *http.Request) (id.Account, error) {
	var a id.Account
	if err := a.UnmarshalText([]byte(r.PathValue("account"))); err != nil {
		return "", fault.New(fault.NotFound, "There is no such reseller.")
	}
	return a, nil
}

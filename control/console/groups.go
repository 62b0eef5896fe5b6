package console

import (
	"net/http"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

type groupsView struct {
	Groups  []fleet.Group
	Add     form
	CanEdit bool
}

func (c *console) groupsPage(w *response, r *http.Request, p fleet.Principal) error {
	return c.showGroups(w, r, p, addGroupForm())
}

func addGroupForm() form {
	return form{Action: "/groups", Submit: "Add group", Inputs: []input{{Name: "name", Label: "Name of a new group", Kind: "text", Max: 100, Required: true, Autocomplete: "off"}}}
}

func (c *console) showGroups(w *response, r *http.Request, p fleet.Principal, add form) error {
	gs, err := c.o.Fleet.Groups(r.Context(), p)
	if err != nil {
		return err
	}
	v := groupsView{Groups: gs, Add: add, CanEdit: p.Access.Default.Has(fleet.ManageDevices)}
	return c.show(w, r, p, statusOf(add), "groups", page{Title: "Groups", Nav: "devices", Data: v, Poll: slowPoll, Notice: notices[r.URL.Query().Get("notice")]})
}

func (c *console) addGroup(w *response, r *http.Request, p fleet.Principal) error {
	if _, err := c.o.Fleet.AddGroup(r.Context(), p, r.PostFormValue("name")); err != nil {
		f := addGroupForm()
		f.filled(r)
		if !f.refused(err) {
			return err
		}
		w.code = f.Code
		return c.showGroups(w, r, p, f)
	}
	return w.redirect("/groups?notice=saved")
}

func pathGroup(r *http.Request) (id.Group, error) {
	var g id.Group
	if err := g.UnmarshalText([]byte(r.PathValue("group"))); err != nil {
		return "", fault.New(fault.NotFound, "There is no such group.")
	}
	return g, nil
}

// oneGroup finds a group among the account's.
func (c *console) oneGroup(r *http.Request, p fleet.Principal) (fleet.Group, error) {
	id, err := pathGroup(r)
	if err != nil {
		return fleet.Group{}, err
	}
	gs, err := c.o.Fleet.Groups(r.Context(), p)
	if err != nil {
		return fleet.Group{}, err
	}
	for _, g := range gs {
		if g.ID == id {
			return g, nil
		}
	}
	return fleet.Group{}, fault.New(fault.NotFound, "There is no such group in your account.")
}

func (c *console) groupPage(w *response, r *http.Request, p fleet.Principal) error {
	g, err := c.oneGroup(r, p)
	if err != nil {
		return err
	}
	return c.showGroup(w, r, p, g, groupForm(g))
}

func groupForm(g fleet.Group) form {
	return form{Action: "/groups/" + string(g.ID), Submit: "Save", Cancel: "/groups", Inputs: []input{
		{Name: "match", Kind: "hidden", Value: g.Tag()},
		{Name: "name", Label: "Name", Kind: "text", Max: 100, Required: true, Value: g.Name, Focus: true, Autocomplete: "off"},
	}}
}

func (c *console) showGroup(w *response, r *http.Request, p fleet.Principal, g fleet.Group, f form) error {
	return c.showForm(w, r, p, "devices", formPage{Title: "Rename " + plain(g.Name), Crumb: &link{"/groups", "Groups"}, Form: f})
}

func (c *console) renameGroup(w *response, r *http.Request, p fleet.Principal) error {
	g, err := c.oneGroup(r, p)
	if err != nil {
		return err
	}
	if _, err := c.o.Fleet.RenameGroup(r.Context(), p, g.ID, r.PostFormValue("name"), r.PostFormValue("match")); err != nil {
		f := groupForm(g)
		f.filled(r)
		if !f.refused(err) {
			return err
		}
		w.code = f.Code
		return c.showGroup(w, r, p, g, f)
	}
	return w.redirect("/groups?notice=saved")
}

func (c *console) removeGroupPage(w *response, r *http.Request, p fleet.Principal) error {
	g, err := c.oneGroup(r, p)
	if err != nil {
		return err
	}
	return c.confirm(w, r, p, "devices", confirmation{
		Question: "Remove the group " + plain(g.Name) + "?",
		Lines: []string{
			"Its devices stay, and are in no group then.",
			"Rights that were given on this group end; those on devices without a group hold for its devices.",
		},
		Form: form{Action: "/groups/" + string(g.ID) + "/remove", Submit: "Remove group", Cancel: "/groups"},
	})
}

func (c *console) removeGroup(w *response, r *http.Request, p fleet.Principal) error {
	g, err := pathGroup(r)
	if err != nil {
		return err
	}
	if err := c.o.Fleet.RemoveGroup(r.Context(), p, g, ""); err != nil {
		return err
	}
	return w.redirect("/groups?notice=gone")
}

package console

import (
	"net/http"
	"net/url"
	"strconv"

	"trunkline/control/fleet"
)

type resellersView struct {
	SearchBox searchBox
	Rows      []fleet.Reseller
	Pager     pager
	CanAdd    bool
	Narrowed  bool
}

func (c *console) resellersPage(w *response, r *http.Request, p fleet.Principal) error {
	q, err := parseList(r)
	if err != nil {
		return err
	}
	got, err := c.o.Fleet.Resellers(r.Context(), p, fleet.ListQuery{Search: q.Search, Cursor: q.Cursor, Limit: pageSize})
	if err != nil {
		return err
	}
	return c.show(w, r, p, http.StatusOK, "resellers", page{Title: "Resellers", Nav: "people", Poll: slowPoll, Notice: notices[r.URL.Query().Get("notice")], Data: resellersView{
		SearchBox: searchBox{Action: "/resellers", Label: "Search resellers", Placeholder: "Name", Value: q.Search},
		Rows:      got.Items, Pager: q.pager("/resellers", url.Values{}, len(got.Items), got.Total, got.Next).of(got.More),
		CanAdd: offersPeople(p), Narrowed: q.Search != "",
	}})
}

func resellerInputs(name string, connections int) []input {
	return []input{
		{Name: "name", Label: "Name of the reseller", Kind: "text", Max: 100, Required: true, Value: name, Autocomplete: "off"},
		{Name: "connections", Label: "Connections", Kind: "number", High: fleet.MaxConnections, Required: true, Value: strconv.Itoa(connections), Hint: "They come out of your own capacity."},
	}
}

func addResellerForm() form {
	return form{Action: "/resellers/add", Submit: "Add and invite the owner", Cancel: "/resellers", Inputs: append(resellerInputs("", 0),
		input{Name: "email", Label: "E-mail of the owner", Kind: "email", Max: 254, Required: true, Autocomplete: "off"},
		input{Name: "person", Label: "Name of the owner", Kind: "text", Max: 100, Required: true, Autocomplete: "off"})}
}

func (c *console) addResellerPage(w *response, r *http.Request, p fleet.Principal) error {
	return c.showAddReseller(w, r, p, addResellerForm())
}

func (c *console) showAddReseller(w *response, r *http.Request, p fleet.Principal, f form) error {
	return c.showForm(w, r, p, "people", formPage{Title: "Add a reseller", Crumb: &link{"/resellers", "Resellers"}, Form: f,
		Lead: "An account below yours, with its own people and devices. You see its devices and can remove them; you cannot visit them."})
}

func (c *console) addReseller(w *response, r *http.Request, p fleet.Principal) error {
	n, err := formNumber(r, "connections", 0, fleet.MaxConnections)
	var inv fleet.Invitation
	if err == nil {
		_, inv, err = c.o.Fleet.AddReseller(r.Context(), p, fleet.NewReseller{
			Name: r.PostFormValue("name"), Connections: n, Email: r.PostFormValue("email"), Person: r.PostFormValue("person"),
		})
	}
	if err != nil {
		f := addResellerForm()
		f.filled(r)
		if !f.refused(err) {
			return err
		}
		w.code = f.Code
		return c.showAddReseller(w, r, p, f)
	}
	return c.showLink(w, r, p, inv, "/resellers")
}

type resellerView struct {
	fleet.Reseller
	Form      form
	CanChange bool
}

func (c *console) loadReseller(r *http.Request, p fleet.Principal) (fleet.Reseller, error) {
	a, err := pathAccount(r)
	if err != nil {
		return fleet.Reseller{}, err
	}
	return c.o.Fleet.Reseller(r.Context(), p, a)
}

func (c *console) resellerPage(w *response, r *http.Request, p fleet.Principal) error {
	x, err := c.loadReseller(r, p)
	if err != nil {
		return err
	}
	return c.showReseller(w, r, p, x, editResellerForm(x))
}

func editResellerForm(x fleet.Reseller) form {
	return form{Action: "/resellers/" + string(x.ID), Submit: "Save", Cancel: "/resellers",
		Inputs: append([]input{{Name: "match", Kind: "hidden", Value: x.Tag()}}, resellerInputs(x.Name, x.Allotted)...)}
}

func (c *console) showReseller(w *response, r *http.Request, p fleet.Principal, x fleet.Reseller, f form) error {
	return c.show(w, r, p, statusOf(f), "reseller", page{Title: plain(x.Name), Nav: "people", Notice: notices[r.URL.Query().Get("notice")],
		Data: resellerView{Reseller: x, Form: f, CanChange: offersPeople(p)}})
}

func (c *console) editReseller(w *response, r *http.Request, p fleet.Principal) error {
	x, err := c.loadReseller(r, p)
	if err != nil {
		return err
	}
	name := r.PostFormValue("name")
	n, err := formNumber(r, "connections", 0, fleet.MaxConnections)
	if err == nil {
		_, err = c.o.Fleet.EditReseller(r.Context(), p, x.ID, fleet.ResellerEdit{Match: r.PostFormValue("match"), Name: &name, Connections: &n})
	}
	if err != nil {
		f := editResellerForm(x)
		f.filled(r)
		if !f.refused(err) {
			return err
		}
		w.code = f.Code
		return c.showReseller(w, r, p, x, f)
	}
	return w.redirect("/resellers/" + string(x.ID) + "?notice=saved")
}

// reinviteOwner gives a reseller's owner a new link.
func (c *console) reinviteOwner(w *response, r *http.Request, p fleet.Principal) error {
	x, err := c.loadReseller(r, p)
	if err != nil {
		return err
	}
	inv, err := c.o.Fleet.ReinviteUser(r.Context(), p, x.Owner.ID)
	if err != nil {
		return err
	}
	return c.showLink(w, r, p, inv, "/resellers/"+string(x.ID))
}

func (c *console) removeResellerPage(w *response, r *http.Request, p fleet.Principal) error {
	x, err := c.loadReseller(r, p)
	if err != nil {
		return err
	}
	at := "/resellers/" + string(x.ID)
	return c.confirm(w, r, p, "people", confirmation{
		Question: "Remove the reseller " + plain(x.Name) + "?",
		Facts:    []fact{{"Connections", number(x.Allotted)}, {"Devices", number(x.Devices)}, {"Owner", x.Owner.Email}},
		Lines: []string{
			"It is refused while one of its devices, or of an account below it, is connected.",
			"Its devices, people, API tokens and the accounts below it go; its connections come back to you.",
			"Your audit log keeps what you did. The reseller's own log goes with it.",
		},
		Form: form{Action: at + "/remove", Submit: "Remove reseller", Cancel: at},
	})
}

func (c *console) removeReseller(w *response, r *http.Request, p fleet.Principal) error {
	a, err := pathAccount(r)
	if err != nil {
		return err
	}
	if err := c.o.Fleet.RemoveReseller(r.Context(), p, a, ""); err != nil {
		return err
	}
	return w.redirect("/resellers?notice=gone")
}

package console

import (
	"net/http"

	"trunkline/control/fleet"
)

// formPage is a page with one form and nothing else.
type formPage struct {
	Title, Lead string
	Crumb       *link
	Form        form
}

type link struct{ Href, Text string }

func (c *console) showForm(w *response, r *http.Request, p fleet.Principal, nav string, v formPage) error {
	return c.show(w, r, p, statusOf(v.Form), "formpage", page{Title: v.Title, Nav: nav, Data: v})
}

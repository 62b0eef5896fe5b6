package console

import (
	"net/http"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
)

// sitePage is where links to a PBX lead: from the relay's error pages and from
// whoever shares one. It only asks; a link must not start a visit.
func (c *console) sitePage(w *response, r *http.Request, p fleet.Principal) error {
	var s id.Site
	if err := s.UnmarshalText([]byte(r.PathValue("site"))); err != nil {
		return fault.New(fault.NotFound, "There is no such PBX.")
	}
	d, err := c.o.Fleet.SiteDevice(r.Context(), p, s)
	if err != nil {
		return err
	}
	v := c.deviceView(p, d)
	return c.show(w, r, p, http.StatusOK, "site", page{
		Title: "Open " + plain(v.Label()), Nav: "devices", Data: v, Live: livePath([]id.Device{d.ID}, ""),
	})
}

type handoverView struct {
	URL, Handover string
	Site          id.Site
}

// startVisit answers with a page that carries the handover to the site by
// POST, so that it is in no address, no history and no log.
func (c *console) startVisit(w *response, r *http.Request, p fleet.Principal) error {
	d, err := pathDevice(r)
	if err != nil {
		return err
	}
	start, err := c.o.Fleet.StartVisit(r.Context(), p, fleet.VisitRequest{Device: d, Method: token.MethodAccount})
	if err != nil {
		return err
	}
	b, err := c.render("handover", page{
		Title: "Opening the PBX", Script: "handover.js",
		Data: handoverView{URL: start.URL, Handover: start.Handover, Site: start.Visit.Site},
	})
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Security-Policy", c.handoverCSP)
	// The relay takes a handover only with our Origin. Under same-origin and
	// no-referrer a browser sends "Origin: null" to other origins.
	h.Set("Referrer-Policy", "strict-origin")
	return w.send(http.StatusOK, b)
}

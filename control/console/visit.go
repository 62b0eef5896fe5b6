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

// startVisit opens one device, whatever its role in a pair.
func (c *console) startVisit(w *response, r *http.Request, p fleet.Principal) error {
	d, err := pathDevice(r)
	if err != nil {
		return err
	}
	return c.handOver(w, r, p, fleet.VisitRequest{Device: d})
}

// startSiteVisit opens a site, and follows whichever device serves it.
func (c *console) startSiteVisit(w *response, r *http.Request, p fleet.Principal) error {
	var s id.Site
	if err := s.UnmarshalText([]byte(r.PathValue("site"))); err != nil {
		return fault.New(fault.NotFound, "There is no such PBX.")
	}
	return c.handOver(w, r, p, fleet.VisitRequest{Site: s})
}

// handOver answers with a page that carries the handover to the site by POST,
// so that it is in no address, no history and no log.
func (c *console) handOver(w *response, r *http.Request, p fleet.Principal, q fleet.VisitRequest) error {
	switch q.Method = r.PostFormValue("method"); q.Method {
	case "":
		q.Method = token.MethodAccount
	case token.MethodAccount, token.MethodPasswordless:
	default:
		return fault.New(fault.Invalid, "There is no such way to sign in.").In("method")
	}
	start, err := c.o.Fleet.StartVisit(r.Context(), p, q)
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

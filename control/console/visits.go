package console

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
)

// visitView is a visit as pages show it.
type visitView struct {
	fleet.Visit
	State, StateKey string
	On              bool // it can be ended
	CanEnd          bool
	Until           time.Time // when it ended
}

func (c *console) visitView(p fleet.Principal, v fleet.Visit) visitView {
	out := visitView{Visit: v, Until: v.Ended}
	now := c.now()
	switch {
	case !v.Ended.IsZero():
		out.State, out.StateKey = "Ended", "off"
		if v.Opened.IsZero() {
			out.State = "Not opened"
		}
	case now.After(v.Expires):
		out.State, out.StateKey, out.Until = "Ended", "off", v.Expires
	case !v.Opened.IsZero():
		out.State, out.StateKey, out.On = "On now", "up", true
	case now.After(v.Started.Add(token.HandoverTTL)):
		out.State, out.StateKey = "Not opened", "off"
	default:
		out.State, out.StateKey, out.On = "Opening", "never", true
	}
	out.CanEnd = out.On && offersEnd(p, v.User)
	return out
}

// RequestCount is Requests as a page's number.
func (v visitView) RequestCount() int { return int(v.Requests) }

// EndWords say why a visit ended, shortly.
func (v visitView) EndWords() string {
	switch v.EndCode {
	case "":
		return ""
	case fault.VisitEnded:
		return "by hand, for idleness or at its longest time"
	case fault.HandoverInvalid:
		return "no browser arrived in time"
	case fault.Unavailable:
		return "the relays could not be told"
	case fault.DeviceRemoved:
		return "the PBX was removed"
	}
	return strings.ReplaceAll(string(v.EndCode), "_", " ")
}

type visitsView struct {
	On, Past []visitView
	Pager    pager
}

func (c *console) visitsPage(w *response, r *http.Request, p fleet.Principal) error {
	q, err := parseList(r)
	if err != nil {
		return err
	}
	q.Search = "" // visits have none
	got, err := c.o.Fleet.Visits(r.Context(), p, fleet.VisitQuery{Cursor: q.Cursor, Limit: pageSize})
	if err != nil {
		return err
	}
	v := visitsView{Pager: q.pager("/visits", url.Values{}, len(got.Items), got.Total, got.Next)}
	for _, x := range got.Items {
		if x := c.visitView(p, x); x.On {
			v.On = append(v.On, x)
		} else {
			v.Past = append(v.Past, x)
		}
	}
	return c.show(w, r, p, http.StatusOK, "visits", page{
		Title: "Visits", Nav: "visits", Data: v, Poll: 20, Notice: notices[r.URL.Query().Get("notice")],
	})
}

func (c *console) endVisit(w *response, r *http.Request, p fleet.Principal) error {
	var v id.Visit
	if err := v.UnmarshalText([]byte(r.PathValue("visit"))); err != nil {
		return fault.New(fault.NotFound, "There is no such visit.")
	}
	if err := c.o.Fleet.EndVisit(r.Context(), p, v); err != nil {
		return err
	}
	return w.redirect("/visits?notice=ended")
}

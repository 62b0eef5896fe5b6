package console

import (
	"net/http"
	"slices"
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
func (v visitView) EndWords() string { return fault.Ending(v.EndCode) }

type visitsView struct {
	Of       string // whose or where, if they are not all
	On, Past []visitView
	People   []personView // with more than one visit on
	Pager    pager
}

// personView is somebody all of whose visits can be ended at once.
type personView struct {
	User id.User
	Who  string
	N    int
}

// several are the people with more than one visit that may be ended.
func several(on []visitView) []personView {
	var out []personView
	at := map[id.User]int{}
	for _, v := range on {
		if !v.CanEnd {
			continue
		}
		i, ok := at[v.User]
		if !ok {
			i = len(out)
			at[v.User] = i
			out = append(out, personView{User: v.User, Who: v.Who})
		}
		out[i].N++
	}
	return slices.DeleteFunc(out, func(p personView) bool { return p.N < 2 })
}

const maxLive = 200 // visits that are on, shown at most

func (c *console) visitsPage(w *response, r *http.Request, p fleet.Principal) error {
	q, err := parseList(r)
	if err != nil {
		return err
	}
	q.Search = "" // visits have none
	only, keep, err := visitFilter(r)
	if err != nil {
		return err
	}
	past := only
	past.Cursor, past.Limit = q.Cursor, pageSize
	got, err := c.o.Fleet.Visits(r.Context(), p, past)
	if err != nil {
		return err
	}
	v := visitsView{Of: visitsOf(only, got.Items), Pager: q.pager("/visits", keep, len(got.Items), got.Total, got.Next).of(got.More)}
	for _, x := range got.Items {
		if x := c.visitView(p, x); !x.On {
			v.Past = append(v.Past, x)
		}
	}
	on := only
	on.Live, on.Limit = true, maxLive
	live, err := c.o.Fleet.Visits(r.Context(), p, on)
	if err != nil {
		return err
	}
	for _, x := range live.Items {
		if x := c.visitView(p, x); x.On {
			v.On = append(v.On, x)
		}
	}
	v.People = several(v.On)
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

func pathUser(r *http.Request) (id.User, error) {
	var u id.User
	if err := u.UnmarshalText([]byte(r.PathValue("user"))); err != nil {
		return "", fault.New(fault.NotFound, "There is no such person.")
	}
	return u, nil
}

func (c *console) endAllPage(w *response, r *http.Request, p fleet.Principal) error {
	u, err := pathUser(r)
	if err != nil {
		return err
	}
	live, err := c.o.Fleet.Visits(r.Context(), p, fleet.VisitQuery{Live: true, User: u, Limit: maxLive})
	if err != nil {
		return err
	}
	if len(live.Items) == 0 {
		return w.redirect("/visits")
	}
	v := confirmation{
		Question: "End all visits of " + plain(live.Items[0].Who) + "?",
		Lines:    []string{"They end at once, everywhere. New ones can be started: to keep the person out, disable the account under People."},
		Form:     form{Action: "/visits/of/" + string(u) + "/end", Submit: "End " + counted(len(live.Items), "visit", "visits"), Cancel: "/visits"},
	}
	for _, x := range live.Items {
		v.Facts = append(v.Facts, fact{x.DeviceName, ago(c.now(), x.Started)})
	}
	return c.confirm(w, r, p, "visits", v)
}

func (c *console) endAll(w *response, r *http.Request, p fleet.Principal) error {
	u, err := pathUser(r)
	if err != nil {
		return err
	}
	if _, err := c.o.Fleet.EndVisitsOf(r.Context(), p, u); err != nil {
		return err
	}
	return w.redirect("/visits?notice=ended")
}

package console

import (
	"net/http"
	"net/url"
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
	Of                 string // whose or where, if they are not all
	On, Past           []visitView
	People             []personView // with more than one visit on
	OnPager, PastPager pager
}

// personView is somebody all of whose visits can be ended at once.
type personView struct {
	User id.User
	Who  string
	N    int
}

// visitsPage shows two lists, each with pages of its own: the visits that are on
// record as running, and the others.
func (c *console) visitsPage(w *response, r *http.Request, p fleet.Principal) error {
	past, err := parseList(r)
	if err != nil {
		return err
	}
	on, err := parseListOf(r, "on_")
	if err != nil {
		return err
	}
	past.Search, on.Search = "", "" // visits have none
	only, keep, err := visitFilter(r)
	if err != nil {
		return err
	}
	var v visitsView
	running, ended := only, only
	running.Live, ended.Ended = true, true
	if v.On, v.OnPager, err = c.listVisits(r, p, running, on, past.place(keep)); err != nil {
		return err
	}
	if v.Past, v.PastPager, err = c.listVisits(r, p, ended, past, on.place(keep)); err != nil {
		return err
	}
	v.Of = visitsOf(only, slices.Concat(v.On, v.Past))
	v.OnPager.Label, v.PastPager.Label = "Pages of visits on now", "Pages of recent visits"
	if v.People, err = c.several(r, p, v.On); err != nil {
		return err
	}
	return c.show(w, r, p, http.StatusOK, "visits", page{
		Title: "Visits", Nav: "visits", Data: v, Live: livePath(nil, listVisits), Poll: slowPoll, Notice: notices[r.URL.Query().Get("notice")],
	})
}

func (c *console) listVisits(r *http.Request, p fleet.Principal, q fleet.VisitQuery, at listQuery, keep url.Values) ([]visitView, pager, error) {
	q.Cursor, q.Limit = at.Cursor, pageSize
	got, err := c.o.Fleet.Visits(r.Context(), p, q)
	if err != nil {
		return nil, pager{}, err
	}
	var out []visitView
	for _, v := range got.Items {
		out = append(out, c.visitView(p, v))
	}
	return out, at.pager("/visits", keep, len(got.Items), got.Total, got.Next).of(got.More), nil
}

// several are the people, of those shown, with more than one visit that may be
// ended, whether shown or not.
func (c *console) several(r *http.Request, p fleet.Principal, on []visitView) ([]personView, error) {
	var out []personView
	var users []id.User
	for _, v := range on {
		if v.CanEnd && !slices.Contains(users, v.User) {
			users = append(users, v.User)
			out = append(out, personView{User: v.User, Who: v.Who})
		}
	}
	if len(users) == 0 {
		return nil, nil
	}
	n, err := c.o.Fleet.VisitsOn(r.Context(), p, users)
	for i := range out {
		out[i].N = n[out[i].User]
	}
	return slices.DeleteFunc(out, func(p personView) bool { return p.N < 2 }), err
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

const endShown = 20 // of the visits that would end

func (c *console) endAllPage(w *response, r *http.Request, p fleet.Principal) error {
	u, err := pathUser(r)
	if err != nil {
		return err
	}
	live, err := c.o.Fleet.Visits(r.Context(), p, fleet.VisitQuery{Live: true, User: u, Limit: endShown})
	if err != nil {
		return err
	}
	n, err := c.o.Fleet.VisitsOn(r.Context(), p, []id.User{u})
	if err != nil {
		return err
	}
	if len(live.Items) == 0 || n[u] == 0 {
		return w.redirect("/visits")
	}
	v := confirmation{
		Question: "End all visits of " + plain(live.Items[0].Who) + "?",
		Lines:    []string{"They end at once, everywhere. New ones can be started: to keep the person out, disable the account under People."},
		Form:     form{Action: "/visits/of/" + string(u) + "/end", Submit: "End " + counted(n[u], "visit", "visits"), Cancel: "/visits"},
	}
	for _, x := range live.Items {
		v.Facts = append(v.Facts, fact{x.DeviceName, ago(c.now(), x.Started)})
	}
	if more := n[u] - len(live.Items); more > 0 {
		v.Lines = append(v.Lines, "The newest are named here; "+number(more)+" more end with them.")
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

package console

import (
	"cmp"
	"net/http"
	"net/url"
	"strconv"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
)

type relaysView struct {
	SearchBox searchBox
	Filters   []filter
	Columns   []column
	Rows      []relayView
	Pager     pager
	Narrowed  bool
}

// relayView is a relay as the page shows it.
type relayView struct {
	fleet.Relay
	Status, StatusKey string
	Percent           int // of the processors
	Full              bool
}

// relayStates are a state's words and mark.
var relayStates = map[fleet.RelayState][2]string{
	fleet.RelayReady: {"Ready", "up"}, fleet.RelayDraining: {"Draining", "off"}, fleet.RelaySilent: {"Silent", "down"}, fleet.RelayStopped: {"Stopped", "never"},
}

func viewOfRelay(r fleet.Relay) relayView {
	words := relayStates[r.State]
	v := relayView{Relay: r, Status: words[0], StatusKey: words[1], Percent: int(r.Load.CPU*100 + .5), Full: r.Load.TunnelsMax > 0 && r.Load.Tunnels >= r.Load.TunnelsMax}
	if !r.Unknown.IsZero() {
		v.Status, v.StatusKey, v.Since = "Not known", "off", r.Unknown
	}
	return v
}

// relayList is what the list's address says.
type relayList struct {
	listQuery
	state fleet.RelayState
	sort  string
	desc  bool
}

func parseRelays(r *http.Request) (relayList, error) {
	q, err := parseList(r)
	v := r.URL.Query()
	l := relayList{listQuery: q, state: fleet.RelayState(v.Get("state")), sort: v.Get("sort"), desc: v.Get("desc") != ""}
	if _, ok := relayStates[l.state]; err == nil && l.state != "" && !ok {
		err = fault.New(fault.Invalid, "There is no such state to filter by.").In("state")
	}
	return l, err
}

func (l relayList) keep() url.Values {
	v := url.Values{}
	for k, x := range map[string]string{"state": string(l.state), "sort": l.sort} {
		if x != "" {
			v.Set(k, x)
		}
	}
	if l.desc {
		v.Set("desc", "1")
	}
	return v
}

// with is the list's address with some things changed, at its first page.
func (l relayList) with(pairs ...string) string {
	v := l.keep()
	if l.Search != "" {
		v.Set("q", l.Search)
	}
	for i := 0; i < len(pairs); i += 2 {
		if v.Del(pairs[i]); pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return address("/relays", v)
}

func (l relayList) columns() []column {
	var out []column
	for _, x := range []struct{ text, sort string }{
		{"Relay", fleet.SortName}, {"Region", "region"}, {"State", fleet.SortSince}, {"Tunnels", "tunnels"}, {"Processors", "load"}, {"Version", "version"},
	} {
		col, desc := column{Text: x.text}, ""
		if cmp.Or(l.sort, fleet.SortName) == x.sort {
			if col.Sorted, desc = "ascending", "1"; l.desc {
				col.Sorted, desc = "descending", ""
			}
		}
		col.Href = l.with("sort", x.sort, "desc", desc)
		out = append(out, col)
	}
	return out
}

func (l relayList) filters() []filter {
	out := []filter{{Text: "All", Href: l.with("state", ""), Current: l.state == ""}}
	for _, s := range []fleet.RelayState{fleet.RelayReady, fleet.RelayDraining, fleet.RelaySilent, fleet.RelayStopped} {
		out = append(out, filter{Text: relayStates[s][0], Href: l.with("state", string(s)), Current: l.state == s})
	}
	return out
}

func (l relayList) kept() []input {
	var out []input
	for _, k := range []string{"state", "sort", "desc"} {
		if x := l.keep().Get(k); x != "" {
			out = append(out, input{Name: k, Kind: "hidden", Value: x})
		}
	}
	return out
}

// relaysPoll is how often the page looks again: as often as relays speak, and
// a bit more.
const relaysPoll = 3 // seconds

func (c *console) relaysPage(w *response, r *http.Request, p fleet.Principal) error {
	q, err := parseRelays(r)
	if err != nil {
		return err
	}
	got, err := c.o.Fleet.Relays(r.Context(), p, fleet.RelayQuery{Search: q.Search, State: q.state, Sort: q.sort, Desc: q.desc, Cursor: q.Cursor, Limit: pageSize})
	if err != nil {
		return err
	}
	v := relaysView{
		SearchBox: searchBox{Action: "/relays", Label: "Search relays", Placeholder: "Name, region, version or label=value", Value: q.Search, Keep: q.kept()},
		Filters:   q.filters(), Columns: q.columns(), Narrowed: q.Search != "" || q.state != "",
		Pager: q.pager("/relays", q.keep(), len(got.Items), got.Total, got.Next),
	}
	for _, x := range got.Items {
		v.Rows = append(v.Rows, viewOfRelay(x))
	}
	return c.show(w, r, p, http.StatusOK, "relays", page{Title: "Relays", Nav: "relays", Data: v, Poll: relaysPoll})
}

// TunnelWords is how many tunnels of how many it takes.
func (v relayView) TunnelWords() string {
	if v.Load.TunnelsMax == 0 {
		return number(v.Load.Tunnels)
	}
	return number(v.Load.Tunnels) + " of " + number(v.Load.TunnelsMax)
}

// PercentWords is its use of the processors.
func (v relayView) PercentWords() string { return strconv.Itoa(v.Percent) + " %" }

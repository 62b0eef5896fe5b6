package page

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"trunkline/agent/manage"
	"trunkline/internal/fault"
)

// live answers the page's own script with what changes by itself, or with
// "not modified".
func (g *Page) live(w http.ResponseWriter, r *http.Request) {
	if !g.signedIn(r, false) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	v, err := g.desk.View(r.Context())
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	body := liveRegion(v)
	sum := sha256.Sum256([]byte(body))
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "no-cache")
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	write(w, http.StatusOK, body)
}

// liveRegion is what changes by itself: the status and the visits.
func liveRegion(v manage.View) markup {
	return join(statusCard(v), visitsCard(v))
}

// marks say the state's kind by a colour and a shape.
var marks = map[manage.State]string{
	manage.Connected: "up", manage.Connecting: "busy", manage.NotActivated: "off", manage.RemoteAccessOff: "off",
}

func statusCard(v manage.View) markup {
	s := v.Status
	mark, ok := marks[s.State]
	if !ok {
		mark = "down"
	}
	var facts []markup
	fact := func(name string, value markup) {
		if value != "" {
			facts = append(facts, tag("div", nil, tag("dt", nil, text(name)), tag("dd", nil, value)))
		}
	}
	fact("Since", moment(s.Since))
	fact("Reason", text(s.Reason))
	if !s.NextTry.IsZero() {
		fact("Tried", text(plural(s.Tried, "attempt", "attempts")+at(s.TriedAt)))
		fact("Next try", moment(s.NextTry))
	}
	fact("Provider", text(s.Account))
	fact("Server", text(s.Server))
	fact("Name there", text(s.Name))
	fact("Relay", text(string(s.Relay)))
	return tag("section", attrs{"class", "card", "aria-labelledby", "status-h"},
		tag("div", attrs{"class", "cardhead"},
			tag("h2", attrs{"id", "status-h"}, text("Status")),
			when(s.Device != "" || v.Off, accessButton(v.Off))),
		tag("p", attrs{"class", "state", "role", "status"}, tag("span", attrs{"class", "pill " + mark, "id", "state"}, text(string(s.State)))),
		tag("dl", attrs{"class", "facts"}, facts...))
}

func at(addr string) string {
	if addr == "" {
		return ""
	}
	return ", the last at " + addr
}

func accessButton(off bool) markup {
	to, words, class := "off", "Turn remote access off", "btn danger"
	if off {
		to, words, class = "on", "Turn remote access on", "btn primary"
	}
	return tag("form", attrs{"method", "post", "action", "/access"},
		tag("input", attrs{"type", "hidden", "name", "to", "value", to}),
		tag("button", attrs{"class", class, "id", "access"}, text(words)))
}

func visitsCard(v manage.View) markup {
	return tag("section", attrs{"class", "card", "aria-labelledby", "visits-h"},
		tag("h2", attrs{"id", "visits-h"}, text("Who is in now")),
		visitTable(v.Now, "Nobody is in.", true),
		tag("h2", nil, text("Who was in")),
		visitTable(v.Past, "Nobody yet.", false))
}

// maxPast is how many past visits the page shows at once.
const maxPast = 20

func visitTable(visits []manage.Visit, none string, now bool) markup {
	if len(visits) == 0 {
		return tag("p", attrs{"class", "none"}, text(none))
	}
	row := func(v manage.Visit) markup {
		last := join(tag("td", attrs{"data-label", "To"}, moment(v.To)), tag("td", attrs{"data-label", "Ended"}, text(fault.Ending(v.Code))))
		if now {
			last = tag("td", attrs{"class", "act"}, endButton(v))
		}
		return tag("tr", nil,
			tag("th", attrs{"scope", "row", "data-label", "Name"}, tag("bdi", nil, text(v.Who))),
			tag("td", attrs{"data-label", "Method"}, text(methodWords(v.Method))),
			tag("td", attrs{"data-label", "From"}, moment(v.From)), last)
	}
	var rows []markup
	for _, v := range visits[:min(len(visits), maxPast)] {
		rows = append(rows, row(v))
	}
	lastHead := join(tag("th", attrs{"scope", "col"}, text("To")), tag("th", attrs{"scope", "col"}, text("Ended")))
	if now {
		lastHead = tag("th", attrs{"scope", "col"}, tag("span", attrs{"class", "hidden"}, text("Action")))
	}
	return join(tag("table", attrs{"class", "visits"},
		tag("thead", nil, tag("tr", nil,
			tag("th", attrs{"scope", "col"}, text("Name")), tag("th", attrs{"scope", "col"}, text("Method")),
			tag("th", attrs{"scope", "col"}, text("From")), lastHead)),
		tag("tbody", nil, rows...)),
		when(len(visits) > maxPast, tag("p", attrs{"class", "hint"},
			text("The newest "+strconv.Itoa(maxPast)+" of "+strconv.Itoa(len(visits))+"; all of them: "), tag("code", nil, text("trunkline-agent visits")))))
}

func endButton(v manage.Visit) markup {
	return tag("form", attrs{"method", "post", "action", "/visits/end"},
		tag("input", attrs{"type", "hidden", "name", "visit", "value", string(v.ID)}),
		tag("button", attrs{"class", "btn danger", "id", "end-" + string(v.ID), "aria-label", "End visit of " + v.Who}, text("End visit")))
}

func methodWords(m string) string {
	switch m {
	case "account":
		return "Account Login"
	case "passwordless":
		return "Passwordless Login"
	}
	return m
}

// moment is a time in this machine's zone; the script puts it in the browser's.
func moment(t time.Time) markup {
	if t.IsZero() {
		return ""
	}
	return tag("time", attrs{"datetime", t.UTC().Format(time.RFC3339)}, text(t.Local().Format("2006-01-02 15:04:05")))
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// access turns remote access off and on.
func (g *Page) access(w http.ResponseWriter, r *http.Request) {
	if !g.parse(w, r) {
		return
	}
	to := r.PostForm.Get("to")
	if to != "on" && to != "off" {
		g.fail(w, r, http.StatusBadRequest, "Malformed", "What was sent is no form of this page.")
		return
	}
	on := to == "on"
	g.then(w, r, "access-"+to, func(ctx context.Context) error { return g.desk.Change(ctx, manage.Change{On: &on}) })
}

func (g *Page) endVisit(w http.ResponseWriter, r *http.Request) {
	if !g.parse(w, r) {
		return
	}
	v, err := parseVisit(strings.TrimSpace(r.PostForm.Get("visit")))
	if err != nil {
		g.fail(w, r, http.StatusNotFound, "No such visit", "It has ended already.")
		return
	}
	g.then(w, r, "ended", func(ctx context.Context) error { return g.desk.EndVisit(ctx, v) })
}

package console_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// many has visits that are on and visits that have ended, the newest first, of two
// people in turn.
func many(on, ended int) *fake {
	f := sample()
	first := f.visits[0]
	f.visits = nil
	for i := range on + ended {
		v := first
		v.ID, v.Started = visitID(i+1), noon.Add(-time.Duration(i)*time.Second)
		if i%2 == 1 {
			v.User, v.Who = userID(2), "Grace Hopper <grace@acme.example>"
		}
		v.Expires = v.Started.Add(8 * time.Hour)
		if i >= on {
			v.Ended = noon
		}
		f.visits = append(f.visits, v)
	}
	return f
}

var visitRow = regexp.MustCompile(`<tr id="(vis_[0-9]+)"`)

// Every visit is on some page, once, in the list that it belongs to, whose pager
// tells how many there are.
func TestVisitPages(t *testing.T) {
	const on, ended = 230, 120
	f := many(on, ended)
	h := newConsole(t, f)
	page := func(path string) (running, past string) {
		t.Helper()
		w := ask(h, "GET", path, nil)
		running, past, ok := strings.Cut(w.Body.String(), "<h2 class=\"section\">Recent</h2>")
		if w.Code != 200 || !ok {
			t.Fatalf("%s: %d", path, w.Code)
		}
		return running, past
	}
	next := regexp.MustCompile(`href="(/visits[^"]*)" rel="next"`)
	follow := func(name string, part func(running, past string) (this, other string), want int, total string) {
		t.Helper()
		seen := map[string]bool{}
		_, stays := part(page("/visits"))
		path := "/visits"
		for range 20 {
			this, other := part(page(path))
			if visitRow.FindString(other) != visitRow.FindString(stays) {
				t.Errorf("%s: the other list moved on too", name)
			}
			if !strings.Contains(this, total) {
				t.Errorf("%s: %s does not say %q", name, path, total)
			}
			for _, m := range visitRow.FindAllStringSubmatch(this, -1) {
				if seen[m[1]] {
					t.Errorf("%s: %s twice", name, m[1])
				}
				seen[m[1]] = true
			}
			m := next.FindStringSubmatch(this)
			if m == nil {
				break
			}
			path = strings.ReplaceAll(m[1], "&amp;", "&")
		}
		if len(seen) != want {
			t.Errorf("%s: %d visits on its pages, want %d", name, len(seen), want)
		}
	}
	follow("on now", func(r, p string) (string, string) { return r, p }, on, "of 230<")
	follow("recent", func(r, p string) (string, string) { return p, r }, ended, "of 120<")

	// Moving on in one list keeps the place in the other.
	running, _ := page("/visits?cursor=50&from=51")
	if m := next.FindStringSubmatch(running); m == nil || !strings.Contains(m[1], "cursor=50") || !strings.Contains(m[1], "on_cursor=50") {
		t.Errorf("the pager of visits on now: %v", m)
	}
	if running, _ := page("/visits"); !strings.Contains(running, "End all 115 visits of <bdi>Ada Lovelace") || !strings.Contains(running, "End all 115 visits of <bdi>Grace Hopper") {
		t.Error("people's visits are counted by what is shown")
	}
}

// One that is running is not counted among the recent ones.
func TestVisitPagerCountsItsOwn(t *testing.T) {
	body := ask(newConsole(t, many(1, 0)), "GET", "/visits", nil).Body.String()
	_, past, _ := strings.Cut(body, "<h2 class=\"section\">Recent</h2>")
	if !strings.Contains(past, "No visits yet") || strings.Contains(past, "Showing") {
		t.Errorf("under an empty list: %q", past)
	}
	// A page that emptied meanwhile says nothing of its number, and leads back.
	body = ask(newConsole(t, many(1, 0)), "GET", "/visits?on_cursor=50&on_from=51", nil).Body.String()
	if strings.Contains(body, "Showing") || !strings.Contains(body, "No more visits are on.") || !strings.Contains(body, `href="/visits" rel="first"`) {
		t.Errorf("%q", body)
	}
}

// Before all of a person's visits end, it is said how many they are, though not
// all are named.
func TestEndAllCountsAll(t *testing.T) {
	f := many(460, 3)
	body := ask(newConsole(t, f), "GET", "/visits/of/"+string(userID(2))+"/end", nil).Body.String()
	for _, want := range []string{">End 230 visits<", "210 more end with them"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q", want)
		}
	}
	if n := strings.Count(body, "<dt>"); n != 20 {
		t.Errorf("%d are named", n)
	}
	f = many(4, 0)
	body = ask(newConsole(t, f), "GET", "/visits/of/"+string(userID(2))+"/end", nil).Body.String()
	if !strings.Contains(body, ">End 2 visits<") || strings.Contains(body, "more end with them") {
		t.Errorf("of two: %q", body)
	}
	w := ask(newConsole(t, f), "POST", "/visits/of/"+string(userID(2))+"/end", url.Values{})
	if w.Header().Get("Location") != "/visits?notice=ended" || f.count("EndVisitsOf") != 1 {
		t.Errorf("%d, %v", w.Code, f.calls)
	}
}

package edge_test

import (
	"io"
	"strings"
	"sync"
	"testing"

	"trunkline/internal/id"
	"trunkline/relay/edge"
)

// seen is what the door was told of each request.
type seen struct {
	mu   sync.Mutex
	acts []edge.Activity
	keys []uint64
	busy int
}

func (s *seen) at(o *edge.Options) {
	admit := o.Admit
	o.Admit = func(c string, site id.Site, a edge.Activity, key uint64) (edge.Guest, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.acts, s.keys = append(s.acts, a), append(s.keys, key)
		g, err := admit(c, site, a, key)
		g.Busy = func() { s.mu.Lock(); s.busy++; s.mu.Unlock() }
		return g, err
	}
}

func TestWhoMadeTheRequest(t *testing.T) {
	var s seen
	w := newWorld(t, httpPortal(t, echo), s.at)
	c := w.client()
	ask := func(method, path string, body io.Reader, headers ...string) (edge.Activity, uint64) {
		t.Helper()
		r := w.request(method, path, body)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		if resp, text := w.do(c, r); resp.StatusCode != 200 {
			t.Fatal(resp.Status, text)
		}
		return s.acts[len(s.acts)-1], s.keys[len(s.keys)-1]
	}
	for _, row := range []struct {
		want    edge.Activity
		headers []string
	}{
		{edge.Person, []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-User", "?1", "Sec-Fetch-Dest", "document"}},
		{edge.Asked, []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}}, // a page that reloads itself
		{edge.Asked, []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}},
		{edge.Passive, []string{"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}},
		{edge.Passive, []string{"Accept", "text/event-stream", "Sec-Fetch-Dest", "empty"}},
		{edge.Asked, nil}, // a browser that says nothing
	} {
		if got, _ := ask("GET", "/x", nil, row.headers...); got != row.want {
			t.Errorf("%q is %d, want %d", row.headers, got, row.want)
		}
	}
	// One timer's requests differ in their query and in numbers.
	_, a := ask("GET", "/poll/17?t=1", nil)
	_, b := ask("GET", "/poll/1800?t=2", nil)
	_, other := ask("GET", "/save/17", nil)
	_, post := ask("POST", "/poll/17", strings.NewReader("x"))
	if a != b || a == other || a == post {
		t.Errorf("keys %x, %x, %x, %x", a, b, other, post)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy == 0 {
		t.Error("transfers do not count as busy")
	}
}

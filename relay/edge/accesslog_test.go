package edge_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"trunkline/relay/edge"
)

// What went well is logged as often as access_log says; what failed or was slow,
// always.
func TestAccessLog(t *testing.T) {
	for _, c := range []struct {
		every, fine int
		says        bool // how many others it stands for
	}{
		{every: 1, fine: 5},
		{every: 0, fine: 0},
		{every: 1 << 40, fine: 0, says: true}, // all but never one of five
	} {
		w := newWorld(t, httpPortal(t, func(rw http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/slow":
				time.Sleep(1050 * time.Millisecond)
			case "/broken":
				rw.WriteHeader(http.StatusInternalServerError)
			}
			_, _ = io.WriteString(rw, "ok")
		}), func(o *edge.Options) { o.AccessLog = c.every })
		for range 5 {
			w.do(w.client(), w.request("GET", "/", nil))
		}
		w.do(w.client(), w.request("GET", "/slow", nil))
		w.do(w.client(), w.request("GET", "/broken", nil))
		r := w.request("GET", "/", nil)
		r.Header.Del("Cookie")
		w.do(w.client(), r)
		events := func() int { return w.logs.FilterMessage("request").Len() }
		eventually(t, "the last event is there", func() bool { return events() >= c.fine+3 })
		if got := events(); got != c.fine+3 {
			t.Errorf("access_log %d: %d events, want %d", c.every, got, c.fine+3)
		}
		for _, e := range w.logs.FilterMessage("request").All() {
			if _, says := e.ContextMap()["one_of"]; says != c.says {
				t.Errorf("access_log %d: %v", c.every, e.ContextMap())
			}
		}
	}
}

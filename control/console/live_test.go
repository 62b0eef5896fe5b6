package console_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"trunkline/control/console"
	"trunkline/control/fleet"
	"trunkline/internal/fault"
)

// event is one server-sent event, or a comment if kind is "".
type event struct{ kind, data string }

func (e event) decode(t *testing.T) (d struct {
	ID, Name, Status, Row string
	Removed               bool
}) {
	t.Helper()
	if err := json.Unmarshal([]byte(e.data), &d); err != nil {
		t.Fatalf("event %q: %v", e.data, err)
	}
	return d
}

// page is an open page: a browser's end of the stream, with no network.
type page struct {
	t      *testing.T
	cancel context.CancelFunc
	done   chan struct{}
	out    *liveWriter
}

// liveWriter gives the stream's writes to the test; a stuck one takes nothing
// until the write deadline.
type liveWriter struct {
	header   http.Header
	status   int
	lines    chan string
	deadline time.Time
	stuck    bool
}

func (w *liveWriter) Header() http.Header { return w.header }
func (w *liveWriter) WriteHeader(s int)   { w.status = s }
func (w *liveWriter) Flush()              {}
func (w *liveWriter) SetWriteDeadline(t time.Time) error {
	w.deadline = t
	return nil
}

func (w *liveWriter) Write(b []byte) (int, error) {
	if w.stuck {
		if w.deadline.IsZero() {
			panic("BUG: a write without a deadline")
		}
		time.Sleep(time.Until(w.deadline))
		return 0, errors.New("i/o timeout")
	}
	w.lines <- string(b)
	return len(b), nil
}

func open(t *testing.T, h http.Handler, path string) *page {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &page{t: t, cancel: cancel, done: make(chan struct{}), out: &liveWriter{header: http.Header{}, lines: make(chan string, 64)}}
	r := httptest.NewRequestWithContext(ctx, "GET", "https://console.relay.example:8443"+path, nil)
	r.Header.Set("Cookie", "__Host-trunkline-session="+goodToken)
	go func() {
		defer close(p.done)
		h.ServeHTTP(p.out, r)
	}()
	t.Cleanup(func() { cancel(); <-p.done })
	return p
}

// events are those written until now.
func (p *page) events() []event {
	p.t.Helper()
	synctest.Wait()
	var out []event
	for {
		select {
		case s := <-p.out.lines:
			var e event
			for l := range strings.Lines(s) {
				l = strings.TrimSuffix(l, "\n")
				if v, ok := strings.CutPrefix(l, "event: "); ok {
					e.kind = v
				} else if v, ok := strings.CutPrefix(l, "data: "); ok {
					e.data = v
				}
			}
			if !strings.HasSuffix(s, "\n\n") {
				p.t.Errorf("event %q is not ended", s)
			}
			out = append(out, e)
		default:
			return out
		}
	}
}

// kinds are those of the events written until now.
func (p *page) kinds() (s string) {
	p.t.Helper()
	for _, e := range p.events() {
		if e.kind != "" {
			s += e.kind + " "
		}
	}
	return s
}

func (p *page) ended() bool {
	synctest.Wait()
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func clocked(t *testing.T, f *fake) http.Handler {
	t.Helper()
	h, err := console.New(console.Options{Fleet: f, Zone: "relay.example"})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

const both = "/live?id=dev_0000000000000001&id=dev_0000000000000002&list=all"

func TestLiveRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := sample()
		p := open(t, clocked(t, f), both)
		if got := p.events(); len(got) != 1 || got[0].kind != "ready" {
			t.Fatalf("first: %v", got)
		}
		if p.out.header.Get("Content-Type") != "text/event-stream" || p.out.header.Get("Cache-Control") != "no-store" {
			t.Errorf("headers %v", p.out.header)
		}
		d := f.devices[1]
		d.Name = "Clinic <b>&\u202e\r\nevent: x"
		d.Presence.Status, d.Presence.Reason, d.Presence.Since = "connected", "", time.Now()
		f.set(d)
		got := p.events()
		if len(got) != 1 || got[0].kind != "device" {
			t.Fatalf("got %v", got)
		}
		e := got[0].decode(t)
		if e.ID != string(d.ID) || e.Status != "Connected" || !strings.Contains(e.Row, `class="pill up">Connected<`) || strings.Contains(e.Row, "disabled") {
			t.Errorf("event %+v", e)
		}
		if !strings.Contains(e.Row, `type="checkbox" name="id" value="`+string(d.ID)+`"`) {
			t.Errorf("the row has lost its box: %q", e.Row)
		}
		if !strings.Contains(e.Row, "Clinic &lt;b&gt;&amp;") || strings.ContainsAny(e.Row, "\u202e\r") {
			t.Errorf("row %q", e.Row)
		}
	})
}

// What a page does not show changes its list at most, and not more often than
// every few seconds; pages that are no list hear nothing of it.
func TestLiveList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := sample()
		h := clocked(t, f)
		all, some, one := open(t, h, both), open(t, h, "/live?list=some"), open(t, h, "/live?id=dev_0000000000000001")
		for _, p := range []*page{all, some, one} {
			p.events()
		}
		old := f.devices[2] // only a filter could bring it in
		f.set(old)
		if s := some.kinds(); s != "changed " {
			t.Errorf("at once: %q", s)
		}
		time.Sleep(11 * time.Second)
		if a, s, o := all.kinds(), some.kinds(), one.kinds(); a != "" || s != "" || o != "" {
			t.Errorf("old device: all %q, some %q, one %q", a, s, o)
		}
		for n := range 10 {
			f.edit(device(100+n, "New"))
		}
		time.Sleep(20 * time.Second)
		const firstAndRest = "changed changed "
		if a, s, o := all.kinds(), some.kinds(), one.kinds(); a != firstAndRest || s != firstAndRest || o != "" {
			t.Errorf("new devices: all %q, some %q, one %q", a, s, o)
		}
	})
}

// An edit changes what the page counts, and the row alone does not tell of it.
func TestLiveEdit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := sample()
		h := clocked(t, f)
		all, page := open(t, h, both), open(t, h, "/live?id="+string(deviceID(1)))
		all.kinds()
		page.kinds()
		f.set(f.devices[0])
		if a, p := all.kinds(), page.kinds(); a != "device " || p != "device " {
			t.Errorf("it connected: list %q, page %q", a, p)
		}
		f.edit(f.devices[0])
		if a, p := all.kinds(), page.kinds(); a != "device changed " || p != "device " {
			t.Errorf("it joined a pair: list %q, page %q", a, p)
		}
		added := device(50, "Added by code")
		added.Activated, added.Presence = time.Time{}, fleet.Presence{Status: fleet.StatusNotActivated}
		f.edit(added)
		time.Sleep(6 * time.Second)
		if a, p := all.kinds(), page.kinds(); a != "changed " || p != "" {
			t.Errorf("one was added: list %q, page %q", a, p)
		}
	})
}

// Visits are told to the pages that show them, each once in a while however many
// there are.
func TestLiveVisits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := sample()
		h := clocked(t, f)
		visits, one := open(t, h, "/live?list=visits"), open(t, h, "/live?id="+string(deviceID(1)))
		other, list := open(t, h, "/live?id="+string(deviceID(2))), open(t, h, both)
		ps := []struct {
			*page
			want string
		}{{visits, "changed "}, {one, "changed "}, {other, ""}, {list, ""}}
		for _, p := range ps {
			p.kinds()
		}
		check := func(when string) {
			t.Helper()
			for i, p := range ps {
				if got := p.kinds(); got != p.want {
					t.Errorf("%s: page %d is told %q, want %q", when, i, got, p.want)
				}
			}
		}
		f.visit(f.devices[0])
		check("at once")
		for range 20 {
			f.visit(f.devices[0])
			time.Sleep(200 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		check("twenty in four seconds")
		f.change(fleet.DeviceEvent{Device: f.devices[1], Removed: true}) // its visits have ended
		time.Sleep(6 * time.Second)
		if got := visits.kinds(); got != "changed " {
			t.Errorf("removed: %q", got)
		}
	})
}

// Whoever looks at the devices below is told of those, with whose they are.
func TestLiveBelow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := sample()
		p := open(t, clocked(t, f), "/live?list=below&id="+string(deviceID(1)))
		p.kinds()
		d := f.devices[0]
		f.set(d)
		if got := p.kinds(); got != "" {
			t.Errorf("one's own: %q", got)
		}
		d.Account, d.Owner = accountID(2), "Acme <b>"
		f.set(d)
		es := p.events()
		if len(es) != 1 || es[0].kind != "device" {
			t.Fatalf("%v", es)
		}
		if row := es[0].decode(t).Row; !strings.Contains(row, "Acme &lt;b&gt;") || strings.Contains(row, "/visit") {
			t.Errorf("row %q", row)
		}
	})
}

// The page of a reseller's device hears of that one, and is no list.
func TestLiveOneBelow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := sample()
		p := open(t, clocked(t, f), "/live?list=one&id="+string(deviceID(1)))
		p.kinds()
		d, other := f.devices[0], f.devices[1]
		d.Account, other.Account = accountID(2), accountID(2)
		d.Owner, other.Owner = "Acme", "Acme"
		f.set(other)
		if got := p.kinds(); got != "" {
			t.Errorf("another one: %q", got)
		}
		f.set(d)
		if got := p.kinds(); got != "device " {
			t.Errorf("%q", got)
		}
	})
}

func TestLiveHeartbeatAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := sample()
		h := clocked(t, f)
		p := open(t, h, both)
		p.events()
		time.Sleep(46 * time.Second)
		if got := p.events(); len(got) != 3 || got[0].kind != "" {
			t.Errorf("in 46 s of silence: %v", got)
		}
		if !p.out.deadline.IsZero() { // HTTP/2 resets a stream then
			t.Errorf("silence is cut off at %s", p.out.deadline)
		}

		gone := open(t, h, both)
		gone.events()
		gone.cancel()
		if !gone.ended() || f.watching() != 1 {
			t.Errorf("the browser went: %d watch", f.watching())
		}

		f.drop(f.watchers[0])
		if !p.ended() {
			t.Error("the watch was closed and the stream goes on")
		}

		stuck := open(t, h, both)
		stuck.events()
		stuck.out.stuck = true
		f.set(f.devices[0])
		time.Sleep(11 * time.Second)
		if !stuck.ended() || f.watching() != 0 {
			t.Error("a browser that takes nothing is kept")
		}

		out := open(t, h, both)
		out.events()
		f.mu.Lock()
		delete(f.live, goodToken)
		f.mu.Unlock()
		time.Sleep(16 * time.Second)
		if !out.ended() || f.watching() != 0 {
			t.Error("the session is over and the stream goes on")
		}
	})
}

func TestLiveLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := sample()
		h := clocked(t, f)
		var pages []*page
		for range 32 {
			pages = append(pages, open(t, h, both))
		}
		synctest.Wait()
		w := ask(h, "GET", both, nil)
		if w.Code != http.StatusTooManyRequests || !strings.Contains(w.Body.String(), string(fault.TooMany)) || w.Header().Get("Retry-After") == "" {
			t.Errorf("the 33rd: %d %s", w.Code, w.Body)
		}
		pages[0].cancel()
		<-pages[0].done
		if p := open(t, h, both); len(p.events()) != 1 {
			t.Error("a closed page's place is not free again")
		}
		for _, bad := range []string{"/live?id=x", both + "&id=%00"} {
			if w := ask(h, "GET", bad, nil); w.Code != http.StatusBadRequest {
				t.Errorf("%s: %d", bad, w.Code)
			}
		}
	})
}

package edge_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"trunkline/internal/id"
	"trunkline/relay/edge"
)

// Loops serve where there are quotas too: what is beyond the bytes waits.
func TestLanePaysForBytes(t *testing.T) {
	w := newWorld(t, tells(t), limits(func(l *edge.Limits) { l.BytesPerDevice, l.Watch = 64<<10, time.Minute }))
	w.serve(id.NewDevice(), "")
	c := w.raw(site)
	r := bufio.NewReader(c)
	began := time.Now()
	for i := range 30 { // 180 KB, of which a second's are free
		if _, body := asks(t, c, r, visitor(fmt.Sprintf("GET /%d?size=6000", i), "")); body != filler(fmt.Sprintf("/%d", i), 6000) {
			t.Fatalf("answer %d: %.50q", i, body)
		}
	}
	if d := time.Since(began); d < time.Second {
		t.Errorf("it took %s", d)
	}
	if n := w.driven(); n < 5 {
		t.Errorf("loops served %v", n)
	}
}

// A request beyond the streams of an account is refused, though there is a
// stream for it, and counted once.
func TestLaneRefuses(t *testing.T) {
	held, release := make(chan struct{}), make(chan struct{})
	w := newWorld(t, rawPortal(t, func(c net.Conn, r *bufio.Reader) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			if req.URL.Path == "/hold" {
				close(held)
				<-release
			}
			if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); err != nil {
				return
			}
		}
	}), limits(func(l *edge.Limits) { l.StreamsPerAccount, l.Watch = 1, time.Minute }))
	account, one, two := id.NewAccount(), id.NewDevice(), id.NewDevice()
	c, busy := w.raw(site), w.raw(site)
	r := bufio.NewReader(c)
	served := func() bool {
		resp, _ := asks(t, c, r, visitor("GET /", ""))
		return resp.StatusCode == 200
	}
	for _, d := range []id.Device{one, two} {
		w.serve(d, account)
		eventually(t, "a stream is kept", served) // the request before may just be ending
	}
	w.serve(one, account)
	eventually(t, "no request is left", func() bool { return w.counted("requests_active", "") == 0 })
	_, _ = io.WriteString(busy, visitor("GET /hold", ""))
	select {
	case <-held:
	case <-time.After(30 * time.Second):
		t.Fatal("the portal was not asked")
	}
	w.serve(two, account)
	before := w.limited("account_streams")
	if resp, _ := asks(t, c, r, visitor("GET /", "")); resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("answered %d", resp.StatusCode)
	}
	if n := w.limited("account_streams") - before; n != 1 {
		t.Errorf("counted %v times", n)
	}
	close(release)
	if resp, _ := hears(t, bufio.NewReader(busy)); resp.StatusCode != 200 {
		t.Errorf("the one before: %d", resp.StatusCode)
	}
	eventually(t, "there is room again", served)
	if n := w.dials.Load(); n != 2 {
		t.Errorf("%d streams were opened", n)
	}
}

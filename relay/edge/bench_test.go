package edge_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/zap"

	"trunkline/internal/id"
	"trunkline/relay/edge"
)

// loopback lets tests in without TLS, as a load balancer.
func loopback(o *edge.Options) {
	o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

func (w *world) plainRequest(method string, body io.Reader) *http.Request {
	r, err := http.NewRequestWithContext(w.t.Context(), method, "http://"+site+"/", body)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Cookie", cookie)
	r.Header.Set("X-Forwarded-Proto", "https")
	return r
}

func (w *world) plainDo(r *http.Request) (*http.Response, error) {
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", w.plain)
	}}
	return tr.RoundTrip(r)
}

// exchange1K is one 1 KiB GET over kept connections: browser and portal are
// loops over raw sockets, so that what is counted is the edge's.
func exchange1K(t testing.TB, w *world) func() {
	c, err := net.Dial("tcp", w.plain)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	request := []byte("GET /index.html HTTP/1.1\r\nHost: " + site + "\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nX-Forwarded-Proto: https\r\nCookie: sid=1; " + cookie + "\r\n\r\n")
	buf := make([]byte, 4096)
	return func() {
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
		for got := 0; got < 1024; {
			n, err := c.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			got += n
		}
	}
}

func portal1K(t testing.TB) string {
	say := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1024\r\nDate: Mon, 01 Jan 2026 00:00:00 GMT\r\n\r\n" + strings.Repeat("x", 1024))
	return rawPortal(t, func(c net.Conn, r *bufio.Reader) {
		buf := make([]byte, 4096)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
			if _, err := c.Write(say); err != nil {
				return
			}
		}
	})
}

// The hot path allocates nothing; the world around it does, once or twice.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for name, l := range map[string]edge.Limits{"": {}, ", with limits on": {
		StreamsPerAccount: 1000, OpensPerDevice: 1000, OpensPerAccount: 1000, BytesPerDevice: 1 << 40, BytesPerAccount: 1 << 40,
	}} {
		w := newWorld(t, portal1K(t), loopback, func(o *edge.Options) { o.Log, o.Limits = zap.NewNop(), l })
		w.serve(id.NewDevice(), id.NewAccount())
		get := exchange1K(t, w)
		for range 100 {
			get()
		}
		if n := testing.AllocsPerRun(500, get); n > 2 {
			t.Errorf("%.1f allocations for a GET%s, at most 2 are allowed", n, name)
		} else {
			t.Log(n, name)
		}
	}
}

// BenchmarkGet1K is a 1 KiB GET of one visitor over kept connections, browser
// and portal included.
func BenchmarkGet1K(b *testing.B) {
	w := newWorld(b, portal1K(b), loopback, func(o *edge.Options) { o.Log = zap.NewNop() })
	get := exchange1K(b, w)
	b.ReportAllocs()
	for b.Loop() {
		get()
	}
}

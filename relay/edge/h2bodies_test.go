package edge_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// witness is a portal that notes the requests that it sees, by connection.
type witness struct {
	addr string

	mu   sync.Mutex
	seen []string // request lines
	odd  []string // what a portal must not get
}

func newWitness(t *testing.T) *witness {
	p := &witness{}
	p.addr = rawPortal(t, func(c net.Conn, r *bufio.Reader) {
		for {
			req, err := http.ReadRequest(r)
			if err == io.EOF {
				return
			}
			p.mu.Lock()
			if err != nil {
				p.odd = append(p.odd, err.Error())
			} else {
				p.seen = append(p.seen, req.Method+" "+req.RequestURI)
			}
			p.mu.Unlock()
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, req.Body); err != nil {
				return // it was broken off
			}
			if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); err != nil {
				return
			}
		}
	})
	return p
}

func (p *witness) saw() (seen, odd []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.seen...), append([]string(nil), p.odd...)
}

// A request that is hidden in the frames of another one's body, of whatever length
// that is said to be, is never a request; and the next one is.
func TestH2HiddenRequests(t *testing.T) {
	p := newWitness(t)
	w := newWorld(t, p.addr)
	buried := "GET /smuggled HTTP/1.1\r\nHost: pbx.local:8088\r\n\r\n"
	head := func(method, path string, more ...string) []string {
		return append([]string{":method", method, ":scheme", "https", ":authority", site, ":path", path, "cookie", cookie}, more...)
	}
	length := func(n int) []string { return []string{"content-length", fmt.Sprint(n)} }
	cases := []struct {
		name    string
		method  string
		more    []string // fields
		data    string
		trailer []string
	}{
		{"no length", "POST", nil, buried, nil},
		{"its own length", "POST", length(len(buried)), buried, nil},
		{"a length of nothing", "POST", length(0), buried, nil},
		{"a length that is too short", "POST", length(5), "hello" + buried, nil},
		{"a length that is too long", "POST", length(500), buried, nil},
		{"a body of a GET", "GET", nil, buried, nil},
		{"a body of a HEAD", "HEAD", length(len(buried)), buried, nil},
		{"the end of chunks", "POST", nil, "0\r\n\r\n" + buried, nil},
		{"chunks", "POST", []string{"transfer-encoding", "chunked"}, "0\r\n\r\n" + buried, nil},
		{"chunks and a length", "POST", []string{"transfer-encoding", "chunked", "content-length", "5"}, "0\r\n\r\n" + buried, nil},
		{"an upgrade", "GET", []string{"upgrade", "websocket", "connection", "upgrade"}, buried, nil},
		{"what waits to be asked for", "POST", []string{"expect", "100-continue"}, buried, nil},
		{"a trailer of a length", "POST", nil, "hello", []string{"content-length", "0"}},
		{"a trailer of chunks", "POST", nil, "0\r\n\r\n" + buried, []string{"transfer-encoding", "chunked"}},
		{"a trailer of a request", "POST", nil, "hello", []string{"x", "y\r\n\r\n" + buried}},
		{"a trailer of a path", "POST", nil, "hello", []string{":path", "/smuggled"}},
	}
	for i, c := range cases {
		path := fmt.Sprintf("/case-%d", i)
		how := w.h2body(head(c.method, path, c.more...), c.data, c.trailer)
		if got := w.h2send(head("GET", fmt.Sprintf("/after-%d", i))); got != "200" {
			t.Errorf("%s, %s: the request behind it is answered %s", c.name, how, got)
		}
		t.Logf("%s: %s", c.name, how)
	}
	want := make(map[string]bool)
	for i, c := range cases {
		want[fmt.Sprintf("%s /case-%d", c.method, i)] = true
		want[fmt.Sprintf("GET /after-%d", i)] = true
	}
	seen, odd := p.saw()
	for _, s := range seen {
		if !want[s] {
			t.Errorf("the portal saw %q", s)
		}
		delete(want, s) // once
	}
	if len(odd) > 0 {
		t.Errorf("the portal got %q", odd)
	}
	for i, c := range cases {
		if after := fmt.Sprintf("GET /after-%d", i); want[after] {
			t.Errorf("%s: %s was not seen", c.name, after)
		}
	}
}

// h2body makes one request with a body and says its status, or how it ended.
func (w *world) h2body(fields []string, data string, trailer []string) string {
	w.t.Helper()
	c, f := w.h2raw()
	defer c.Close()
	var all bytes.Buffer // at once: the relay may end it at any of them
	many := http2.NewFramer(&all, nil)
	many.AllowIllegalWrites = true
	_ = many.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(fields), EndHeaders: true})
	_ = many.WriteData(1, trailer == nil, []byte(data))
	if trailer != nil {
		_ = many.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(trailer), EndHeaders: true, EndStream: true})
	}
	if _, err := c.Write(all.Bytes()); err != nil {
		w.t.Fatal(err)
	}
	return h2outcome(f)
}

// h2outcome is the status of the first answer, or how it ended.
func h2outcome(f *http2.Framer) string {
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
				return "silence"
			}
			return "closed"
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			if s := frame.PseudoValue("status"); !strings.HasPrefix(s, "1") {
				return s
			}
		case *http2.RSTStreamFrame:
			return "reset"
		case *http2.GoAwayFrame:
			return "closed"
		}
	}
}

package coding_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"trunkline/agent/coding"
)

// stream is the relay's end in memory: in is what it sends, out what it gets.
type stream struct {
	net.Conn
	in     *bytes.Reader
	out    bytes.Buffer
	writes int
	closed bool
}

func (s *stream) Read(b []byte) (int, error) { return s.in.Read(b) }

func (s *stream) Write(b []byte) (int, error) {
	if s.closed {
		return 0, net.ErrClosed
	}
	s.writes++
	return s.out.Write(b)
}

func (s *stream) Close() error { s.closed = true; return nil }

// ask is a request as a browser makes it for a page of its own.
const ask = "GET / HTTP/1.1\r\nHost: pbx\r\nSec-Fetch-Site: same-origin\r\nAccept-Encoding: gzip, deflate, br\r\n\r\n"

// askZstd is the same of a browser that knows more.
var askZstd = strings.Replace(ask, "br", "br, zstd", 1)

// world is a Conn between a relay that asks and a portal that answers.
type world struct {
	t testing.TB
	*coding.Conn
	s *stream
}

func newWorld(t testing.TB, c *coding.Coder, requests string) *world {
	t.Helper()
	s := &stream{in: bytes.NewReader([]byte(requests))}
	w := &world{t, c.Wrap(s, true), s}
	if got, err := io.ReadAll(w); err != nil || len(got) == 0 && len(requests) > 0 {
		t.Fatalf("the portal got %q, %v", got, err)
	}
	return w
}

func coder() *coding.Coder { return coding.New(prometheus.NewRegistry()) }

// say is a write of the portal's.
func (w *world) say(b string) error {
	n, err := w.Write([]byte(b))
	if err == nil && n != len(b) {
		w.t.Errorf("%d of %d bytes were taken", n, len(b))
	}
	return err
}

var page = strings.Repeat("<tr><td>Extension 1000</td><td>registered</td></tr>\n", 100)

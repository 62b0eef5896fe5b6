package edge_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/relay/edge"
)

// refused is a stream that the agent refused and closed before the request
// could be written.
type refused struct{ net.Conn }

func (refused) Read([]byte) (int, error) {
	return 0, fault.New(fault.PortalRefused, "The portal refuses connections.")
}
func (refused) Write([]byte) (int, error)        { return 0, syscall.EPIPE }
func (refused) SetDeadline(time.Time) error      { return nil }
func (refused) SetReadDeadline(time.Time) error  { return nil }
func (refused) SetWriteDeadline(time.Time) error { return nil }
func (refused) Close() error                     { return nil }
func (refused) Reset()                           {}
func (refused) Alive() bool                      { return false }

// An agent on the same machine may refuse a stream before the request is on it.
func TestRefusalBeforeTheRequest(t *testing.T) {
	w := newWorld(t, "", func(o *edge.Options) {
		o.Dial = func(context.Context, id.Device, edge.Header) (edge.Stream, error) { return refused{}, nil }
	})
	for name, body := range map[string]string{"none": "", "short": "short", "long": strings.Repeat("long", 100_000)} {
		method := http.MethodGet
		if body != "" {
			method = http.MethodPost
		}
		resp, text := w.do(w.client(), w.request(method, "/", strings.NewReader(body)))
		if resp.StatusCode != http.StatusBadGateway || !strings.Contains(text, string(fault.PortalRefused)) {
			t.Errorf("body %s: %s %s", name, resp.Status, text)
		}
	}
}

// leaving is a stream of a device that has said goodbye meanwhile.
type leaving struct {
	stream
	closed chan struct{}
}

func (leaving) Alive() bool    { return false }
func (l leaving) Close() error { close(l.closed); return l.stream.Close() }

// What ran on when a device took its leave must not be kept for a next request:
// the agent waits for its end.
func TestLastStreamOfALeavingDevice(t *testing.T) {
	portal := rawPortal(t, func(c net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			_, _ = io.Copy(io.Discard, r)
		}
	})
	closed := make(chan struct{})
	w := newWorld(t, portal, func(o *edge.Options) {
		o.Dial = func(ctx context.Context, _ id.Device, _ edge.Header) (edge.Stream, error) {
			c, err := new(net.Dialer).DialContext(ctx, "tcp", portal)
			if err != nil {
				return nil, err
			}
			return leaving{stream{c.(*net.TCPConn)}, closed}, nil
		}
	})
	if _, text := w.do(w.client(), w.request(http.MethodGet, "/", nil)); text != "ok" {
		t.Fatalf("got %q", text)
	}
	select {
	case <-closed:
	case <-time.After(30 * time.Second):
		t.Error("the stream is kept")
	}
}

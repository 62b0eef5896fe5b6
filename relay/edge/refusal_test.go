package edge_test

import (
	"context"
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

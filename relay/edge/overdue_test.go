package edge_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/relay/edge"
)

// A request may wait long for its stream. If its visit ends meanwhile the PBX gets
// nothing of it.
func TestARequestThatOutlastsItsVisitReachesNoPBX(t *testing.T) {
	var asked atomic.Int32
	portal := rawPortal(t, func(_ net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err == nil {
			asked.Add(1)
		}
	})
	var w *world
	w = newWorld(t, portal, func(o *edge.Options) {
		dial := o.Dial
		o.Dial = func(ctx context.Context, d id.Device, h edge.Header) (edge.Stream, error) {
			close(w.ended)
			return dial(ctx, d, h)
		}
	})
	c := w.raw(site)
	resp, _ := asks(t, c, bufio.NewReader(c), visitor("GET /late", ""))
	if want := fault.Status(fault.VisitEnded); resp.StatusCode != want || asked.Load() != 0 {
		t.Errorf("answered %d, and the portal was asked %d times; want %d and never", resp.StatusCode, asked.Load(), want)
	}
}

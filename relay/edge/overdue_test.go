package edge_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
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
	resp, body := asks(t, c, bufio.NewReader(c), visitor("GET /late", ""))
	if want := fault.Status(endedBy()); resp.StatusCode != want || !strings.Contains(body, string(endedBy())) || asked.Load() != 0 {
		t.Errorf("answered %d %s, and the portal was asked %d times; want %d and never", resp.StatusCode, body, asked.Load(), want)
	}
}

// hung is a world whose PBX cannot be reached: dialling tells began, and then ended
// with why.
func hung(t *testing.T) (w *world, began chan struct{}, ended chan error) {
	began, ended = make(chan struct{}, 1), make(chan error, 1)
	return newWorld(t, "", func(o *edge.Options) {
		o.Dial = func(ctx context.Context, _ id.Device, _ edge.Header) (edge.Stream, error) {
			began <- struct{}{}
			<-ctx.Done()
			ended <- ctx.Err()
			return nil, fault.New(fault.NotConnected, "The PBX is not connected.")
		}
	}), began, ended
}

// Nothing waits for a PBX on behalf of a browser that has gone.
func TestABrowserThatGoesWhileItsPBXIsAwaited(t *testing.T) {
	w, began, ended := hung(t)
	c := w.raw(site)
	if _, err := io.WriteString(c, visitor("GET /late", "")); err != nil {
		t.Fatal(err)
	}
	<-began
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("dialling ended with %v", err)
	}
}

// A visit that ends meanwhile is answered at once.
func TestAVisitThatEndsWhileItsPBXIsAwaited(t *testing.T) {
	w, began, ended := hung(t)
	c := w.raw(site)
	go func() {
		<-began
		close(w.ended)
	}()
	resp, body := asks(t, c, bufio.NewReader(c), visitor("GET /late", ""))
	if want := fault.Status(endedBy()); resp.StatusCode != want || !strings.Contains(body, string(endedBy())) {
		t.Errorf("answered %d %s, want %d", resp.StatusCode, body, want)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("dialling ended with %v", err)
	}
}

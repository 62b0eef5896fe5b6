package edge

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trunkline/internal/id"
)

// fakeStream is alive until it is closed.
type fakeStream struct {
	net.Conn
	open *atomic.Int64
	over bool
}

func (s *fakeStream) Alive() bool { return !s.over }
func (s *fakeStream) Reset()      { _ = s.Close() }
func (s *fakeStream) Close() error {
	if !s.over {
		s.over = true
		s.open.Add(-1)
	}
	return nil
}

// A crowd of requests that is larger than what is kept for a device finds its
// streams again when it comes back, and a device that has grown quiet is not
// left with them.
func TestSurplusStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opened := 0
		var open atomic.Int64
		m, err := newMetrics(prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		p := newPool(Limits{StreamsPerDevice: 160}.withDefaults(), func(context.Context, id.Device, Header) (Stream, error) {
			opened++
			open.Add(1)
			return &fakeStream{open: &open}, nil
		}, m)
		defer p.close()
		d := id.NewDevice()
		crowd := func(visit id.Visit, n int) {
			t.Helper()
			var ls []*link
			for range n {
				l, err := p.take(Header{Visit: visit}, d, time.Minute, nobody{})
				if err != nil {
					t.Fatal(err)
				}
				ls = append(ls, l)
			}
			for _, l := range ls {
				p.put(l)
			}
		}
		for range 20 {
			crowd("one", 64)
			time.Sleep(10 * time.Millisecond)
		}
		if opened != 64 {
			t.Errorf("%d streams opened for crowds of 64", opened)
		}
		crowd("two", 64)
		if n := open.Load(); n > 112 {
			t.Errorf("%d streams of two crowds are kept, more than half of what may be, and what is kept anyhow", n)
		}
		time.Sleep(10 * time.Second)
		if n := open.Load(); n > 32 {
			t.Errorf("%d streams are kept for long, want 32", n)
		}
		time.Sleep(time.Minute)
		if n := open.Load(); n != 0 {
			t.Errorf("%d streams are kept for ever", n)
		}
	})
}

// nobody has no quotas and waits for ever.
type nobody struct{}

func (nobody) pay() error               { return nil }
func (nobody) waits(context.CancelFunc) {}

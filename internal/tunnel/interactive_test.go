package tunnel_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"trunkline/internal/linkmodel"
	"trunkline/internal/tunnel"
)

// A PBX sends four recordings over its uplink while somebody clicks through its
// pages: the pages come as if the recordings were not there, but for what the
// link itself has queued.

const recordings = 4

// busyUplink is a tunnel over a link whose uplink recordings fill, and a stream
// that answers at once. arrived counts the recordings' bytes.
func busyUplink(t testing.TB, cfg linkmodel.Config, bulk int) (page *tunnel.Stream, arrived *atomic.Int64) {
	w := start(t, setup{
		conns: func(testing.TB) (net.Conn, net.Conn) {
			agent, relay := linkmodel.New(cfg).Pipe()
			return relay, agent
		},
		onStream: func(ctx context.Context, h tunnel.Header, c net.Conn) {
			if h.Method != "recording" {
				echo(ctx, h, c)
				return
			}
			defer c.Close()
			_ = tunnel.AcceptStream(c)
			_, _ = io.Copy(c, noise(3))
		},
	})
	arrived = new(atomic.Int64)
	for range bulk {
		s, err := w.relay.Open(t.Context(), tunnel.Header{Service: "portal", Method: "recording"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		go func() {
			b := make([]byte, 32<<10)
			for {
				n, err := s.Read(b)
				arrived.Add(int64(n))
				if err != nil {
					return
				}
			}
		}()
	}
	page = w.open(t)
	t.Cleanup(func() { page.Close() })
	return page, arrived
}

// ask is one small request, and its answer of 1 KiB.
func ask(t testing.TB, s *tunnel.Stream, b []byte) {
	if _, err := s.Write(b); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(s, b); err != nil {
		t.Fatal(err)
	}
}

func TestSmallRequestsBesideBulk(t *testing.T) {
	t.Parallel()
	const rate, rtt = 10 * linkmodel.Mbit, 100 * time.Millisecond
	page, arrived := busyUplink(t, linkmodel.Symmetric(rate, rtt), recordings)
	b := make([]byte, 1024)
	ask(t, page, b)
	for arrived.Load() < 512<<10 { // the link is full, the windows have been used
		ask(t, page, b)
	}
	var passed []int64
	for range 9 {
		before := arrived.Load()
		ask(t, page, b)
		passed = append(passed, arrived.Load()-before)
	}
	slices.Sort(passed)
	// A round trip of the link, its queue, one flush, and a turn of each recording.
	const fair = rate/8/10 + linkmodel.DefaultQueue + 68<<10 + recordings*16<<10
	if median := passed[len(passed)/2]; median > 2*fair {
		t.Errorf("%d KiB of recordings came between a request and its answer; %d KiB would be fair", median>>10, fair>>10)
	}
}

// BenchmarkSmallBesideBulk reports the time of a small request on a link that
// is idle and on one that recordings fill: median and the worst of twenty.
func BenchmarkSmallBesideBulk(b *testing.B) {
	for _, mbit := range []int{1, 10, 100} {
		for _, rtt := range []int{20, 100, 300} { // ms
			for _, loss := range []float64{0, 0.005, 0.02} {
				for _, bulk := range []int{0, recordings} {
					b.Run(fmt.Sprintf("mbit=%d/rtt=%dms/loss=%v/bulk=%d", mbit, rtt, loss, bulk), func(b *testing.B) {
						cfg := linkmodel.Symmetric(mbit*linkmodel.Mbit, time.Duration(rtt)*time.Millisecond)
						cfg.Up.Loss, cfg.Down.Loss = loss, loss
						page, arrived := busyUplink(b, cfg, bulk)
						buf := make([]byte, 1024)
						ask(b, page, buf)
						for bulk > 0 && arrived.Load() < 256<<10 {
							ask(b, page, buf)
						}
						var took []time.Duration
						for b.Loop() {
							began := time.Now()
							ask(b, page, buf)
							took = append(took, time.Since(began))
						}
						slices.Sort(took)
						b.ReportMetric(0, "ns/op")
						b.ReportMetric(float64(took[len(took)/2].Microseconds())/1e3, "ms-median")
						b.ReportMetric(float64(took[len(took)-1].Microseconds())/1e3, "ms-worst")
					})
				}
			}
		}
	}
}

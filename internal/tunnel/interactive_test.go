package tunnel_test

import (
	"context"
	"io"
	"net"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
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

// The same on every link that a PBX may be behind, beside eight. The clock is
// synctest's, so that the times are the links' alone.
func TestSmallRequestsOnEveryLink(t *testing.T) {
	for _, link := range []struct {
		mbit, times int
		wait        time.Duration // at most, for what the link has queued and for a turn of each
	}{{1, 10, 900 * time.Millisecond}, {10, 20, 100 * time.Millisecond}, {100, 4, 30 * time.Millisecond}} {
		for _, rtt := range []time.Duration{20 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond} {
			for _, loss := range []float64{0, 0.005, 0.02} {
				cfg := linkmodel.Symmetric(link.mbit*linkmodel.Mbit, rtt)
				cfg.Up.Loss, cfg.Down.Loss = loss, loss
				alone, beside := asked(t, cfg, 0, 2), asked(t, cfg, 8, link.times)
				t.Logf("%3d Mbit/s, %3d ms, %.1f %% lost: median %4d ms alone, %4d ms beside bulk, all but one %4d ms at most", link.mbit, rtt.Milliseconds(), 100*loss,
					alone.median.Milliseconds(), beside.median.Milliseconds(), beside.most.Milliseconds())
				switch {
				case loss == 0 && beside.median > rtt+link.wait:
					t.Errorf("half take %v more than a round trip", beside.median-rtt)
				case beside.median > 3*rtt+link.wait: // what is lost comes a round trip later, and all that is behind it
					t.Errorf("half take %v more than three round trips", beside.median-3*rtt)
				}
			}
		}
	}
}

// waits are the times of some small requests: what half, and all but one, take at
// most.
type waits struct{ median, most time.Duration }

// asked is what they are over a link, beside so many recordings.
func asked(t *testing.T, cfg linkmodel.Config, bulk, times int) (w waits) {
	// Who waits in the multiplexer has a channel and a timer from a pool: there must
	// be none of another clock.
	emptyPools := func() { runtime.GC(); runtime.GC() }
	emptyPools()
	defer emptyPools()
	outside := time.Now()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(outside)) // the multiplexer counts from when the process began
		page, arrived := busyUplink(t, cfg, bulk)
		b := make([]byte, 1024)
		for ask(t, page, b); bulk > 0 && arrived.Load() < 256<<10; {
			ask(t, page, b)
		}
		var took []time.Duration
		for range times {
			began := time.Now()
			ask(t, page, b)
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		w = waits{took[len(took)/2], took[len(took)-2]}
	})
	return w
}

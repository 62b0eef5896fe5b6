package relay_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"trunkline/cmd/trunkline/up"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/testnet"
	"trunkline/internal/tunnel"
)

// held is what a process holds.
type held struct{ goroutines, descriptors int }

func holding(t *testing.T) held {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return held{runtime.NumGoroutine(), len(fds)}
}

// spare is what two connections of an agent to control hold, which it may open
// meanwhile and keep for a while. What leaks does so many times over.
var spare = held{goroutines: 6, descriptors: 4}

// nothingLeft waits until the process holds no more than at base, and what is
// spare.
func nothingLeft(t *testing.T, what string, base held) {
	t.Helper()
	var now held
	testnet.Eventually(t, "nothing is left", func() error {
		now = holding(t)
		if now.goroutines > base.goroutines+spare.goroutines || now.descriptors > base.descriptors+spare.descriptors {
			return fmt.Errorf("%+v at first, %+v now", base, now)
		}
		return nil
	})
	t.Logf("%s: %d goroutines and %d file descriptors before, %d and %d after",
		what, base.goroutines, base.descriptors, now.goroutines, now.descriptors)
}

// steady is what is held at rest: the least that several looks see.
func steady(t *testing.T) held {
	t.Helper()
	least := holding(t)
	for range 20 {
		time.Sleep(25 * time.Millisecond)
		now := holding(t)
		least = held{min(least.goroutines, now.goroutines), min(least.descriptors, now.descriptors)}
	}
	return least
}

const atOnce = 8

// inParallel runs f n times, by so many workers.
func inParallel(n int, f func(worker, i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for worker := range atOnce {
		wg.Go(func() {
			for i := range next {
				f(worker, i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// A tunnel that went leaves nothing behind, in whatever way it went.
func TestNothingIsLeftOfTunnels(t *testing.T) {
	w := testnet.Start(t, nil)
	s := &stage{World: w, secrets: map[string]string{}}
	var puppets []*puppet
	for i := range atOnce {
		puppets = append(puppets, s.puppet(t, id.Serial(fmt.Sprintf("3631A20C081%d", i))))
	}
	base := steady(t)
	inParallel(tunnels, func(worker, i int) {
		if err := puppets[worker].comeAndGo(i); err != nil {
			t.Error(err)
		}
	})
	nothingLeft(t, fmt.Sprintf("%d tunnels", tunnels), base)
	m := s.metrics(t)
	// Who breaks off quickly enough counts as refused.
	came := m["trunkline_relay_tunnels_accepted_total"] + m[refusedTunnel(fault.ConnectionLost).series]
	if held := m["trunkline_relay_tunnels"]; came != tunnels || held != 0 {
		t.Errorf("%v tunnels came and %v are held", came, held)
	}
}

// comeAndGo opens a tunnel, uses it a little, and ends it in the ith way.
func (p *puppet) comeAndGo(i int) error {
	raw, err := net.Dial("tcp", p.s.Up.Relay.Addr().String())
	if err != nil {
		return err
	}
	defer raw.Close()
	a, err := tunnel.Dial(context.Background(), p.s.tunnelTLS(raw), tunnel.Config{}, p.grant.Pass, p.key, tunnel.AgentInfo{Version: "puppet"})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- a.Run(ctx, tunnel.AgentHandlers{OnStream: func(_ context.Context, _ tunnel.Header, c net.Conn) { c.Close() }})
	}()
	if i%4 > 0 {
		if err := a.SendStatus(tunnel.Status{Portal: tunnel.Portal{Origin: "http://127.0.0.1:80"}}); err != nil {
			return err
		}
	}
	switch i % 4 {
	case 0, 1: // goodbye
		sctx, done := context.WithTimeout(ctx, testnet.Patience)
		defer done()
		if err := a.Stop(sctx); err != nil {
			return err
		}
	case 2: // gone, without a word
		raw.Close()
	case 3: // gone, by a reset
		raw.(*net.TCPConn).SetLinger(0)
		raw.Close()
	}
	select {
	case err := <-ended:
		if i%4 < 2 {
			return err
		}
		return nil
	case <-time.After(testnet.Patience):
		return errors.New("the agent's end runs on")
	}
}

// Downloads that the browser gives up leave nothing behind, from its own
// connection through the tunnel to the portal's.
func TestNothingIsLeftOfDownloads(t *testing.T) {
	w := testnet.Start(t, func(c *up.Config) {
		c.Relay.Edge.Limits.StreamIdle = time.Second
		c.Relay.Tunnels.Window = 256 << 10 // less to throw away
	})
	s := &stage{World: w, secrets: map[string]string{}}
	p := w.Connect("3631A20C0801", w.Portal(nil).URL())
	v := p.Visit()
	cookie := s.cookie(t, v)
	// A connection of HTTP/2 is idle a moment after its last answer.
	testnet.Eventually(t, "the visitor's connection is closed", func() error {
		v.CloseIdleConnections()
		if n := s.metrics(t)["trunkline_relay_edge_connections"]; n != 0 {
			return fmt.Errorf("%v are open", n)
		}
		return nil
	})
	opener := controlapi.NewTransport(w.TLS)
	opener.DisableKeepAlives = true
	base := steady(t)
	inParallel(downloads, func(_, i int) {
		if err := abort(opener, "https://"+s.authority(p)+"/test/bytes?size=1073741824", cookie, i); err != nil {
			t.Error(err)
		}
	})
	nothingLeft(t, "aborted downloads", base)
	m := s.metrics(t)
	if m["trunkline_relay_edge_requests_active"] != 0 || m["trunkline_relay_edge_connections"] != 0 {
		t.Errorf("%v requests and %v connections are active", m["trunkline_relay_edge_requests_active"], m["trunkline_relay_edge_connections"])
	}
}

// abort begins a download of 1 GiB and closes it after some KiB.
func abort(opener *http.Transport, url, cookie string, i int) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Cookie", cookie)
	resp, err := opener.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	_, err = io.CopyN(io.Discard, resp.Body, int64(i%64)<<10+1)
	return err
}

package evtls_test

import (
	"crypto/tls"
	"io"
	"sync"
	"testing"
	"time"

	"trunkline/internal/evtls"
)

// answering has server send back each byte that comes.
func answering(t testing.TB, server *tls.Conn) {
	t.Helper()
	raw := server.NetConn().(*evtls.Conn)
	b := make([]byte, 16)
	if err := raw.Watch(server, func() bool {
		n, err := raw.TryRead(b)
		if err != nil {
			return false
		}
		raw.Cork()
		_, _ = server.Write(b[:n])
		_ = raw.Uncork()
		return true
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
}

// Each byte is sent when the last one is back, so one wake that is lost stands
// still for ever; and they come while the loops go to rest, come back, and are
// busy with others.
func TestNoWakeIsLost(t *testing.T) {
	const conns, rounds = 50, 300
	p := running(t, 2)
	var wg sync.WaitGroup
	for range conns {
		client, server, _ := secured(t, p, nil)
		answering(t, server)
		wg.Go(func() {
			b := []byte{1}
			for i := range rounds {
				_ = client.SetDeadline(time.Now().Add(limit)) // of each: all of them are a matter of how busy the machine is
				if _, err := client.Write(b); err != nil {
					t.Error(err)
					return
				}
				if _, err := io.ReadFull(client, b); err != nil {
					t.Errorf("after %d rounds: %v", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// Until Watch a Conn is like any other, deadlines and all.
func TestDeadlinesBeforeWatch(t *testing.T) {
	p := running(t, 1)
	client, server, raw := secured(t, p, nil)
	raw.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := server.Read(make([]byte, 1)); !isTimeout(err) {
		t.Error(err)
	}
	raw.SetReadDeadline(time.Now().Add(-time.Second)) // and one that has passed is no matter after it
	s := watch(t, server, 100)
	client.Write([]byte("hello"))
	if got := string(s.next(t, 5)); got != "hello" {
		t.Error(got)
	}
}

func isTimeout(err error) bool {
	t, ok := err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}

// Close may come in the middle of Watch: ready finds out, or Watch says so.
func TestCloseWhileWatchBegins(t *testing.T) {
	for name, poller := range map[string]func(testing.TB) *evtls.Poller{
		"by loop":      func(t testing.TB) *evtls.Poller { return running(t, 1) },
		"by goroutine": blocking,
	} {
		t.Run(name, func(t *testing.T) {
			for range 200 {
				closedInWatch(t, poller(t)) // whose loop knows no connection yet
			}
		})
	}
}

func closedInWatch(t *testing.T, p *evtls.Poller) {
	t.Helper()
	_, server := tcp(t)
	c := evtls.NewConn(p, server)
	read := c.TryRead
	if !c.Pollable() {
		read = c.Read
	}
	over := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { c.Close() })
	said := false // by ready, which is never called twice at once
	err := c.Watch(nil, func() bool {
		if _, err := read(make([]byte, 1)); !said && err != nil && !evtls.WouldBlock(err) {
			said = true
			close(over)
		}
		return false
	})
	if err != nil {
		return
	}
	select {
	case <-over:
	case <-time.After(limit):
		t.Fatal("nobody hears of the end")
	}
}

// A round trip is the client's write and read, and a wake of ours.
func BenchmarkRoundTrip(b *testing.B) {
	for name, p := range map[string]*evtls.Poller{"by=loop": running(b, 1), "by=goroutine": blocking(b)} {
		b.Run(name, func(b *testing.B) {
			client, server, _ := secured(b, p, nil)
			answering(b, server)
			x := []byte{1}
			b.ReportAllocs()
			for b.Loop() {
				_, _ = client.Write(x)
				if _, err := io.ReadFull(client, x); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

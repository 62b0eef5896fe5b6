package evtls_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"trunkline/internal/cork"
	"trunkline/internal/evtls"
)

func TestThisCryptoTLSIsTheOneExpected(t *testing.T) {
	if err := evtls.Checked(); err != nil {
		t.Error(err)
	}
	if !evtls.Lending() {
		t.Error("its buffers were not found: idle connections keep theirs")
	}
}

// The same bytes come, wherever the socket cuts them and however small the
// pieces are that they are read in.
func TestBytesComeAsTheyWereSent(t *testing.T) {
	p := running(t, 2)
	for _, c := range []struct {
		name      string
		size, buf int
		each      func() int
	}{
		{"one at a time", 40_000, 64 << 10, func() int { return 1 }},
		{"two at a time, read by 100", 60_000, 100, func() int { return 2 }},
		{"random", 4 << 20, 64 << 10, func() int { return 1 + rand.IntN(40_000) }},
		{"random, read by 1000", 1 << 20, 1000, func() int { return 1 + rand.IntN(3000) }},
		{"whole", 32 << 20, 64 << 10, func() int { return 1 << 20 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server, raw := secured(t, p, func(n net.Conn) net.Conn { return &chopped{n, c.each} })
			s := watch(t, server, c.buf)
			want := random(1, c.size)
			go func() {
				for rest := want; len(rest) > 0; {
					n := min(len(rest), 1+rand.IntN(100_000))
					if _, err := client.Write(rest[:n]); err != nil {
						t.Error(err)
						return
					}
					rest = rest[n:]
				}
			}()
			if !bytes.Equal(s.next(t, len(want)), want) {
				t.Error("other bytes came")
			}
			_ = client.CloseWrite()
			if err := s.end(t); !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			if n := evtls.Held(raw); n != 0 {
				t.Errorf("TLS holds %d bytes of buffers", n)
			}
		})
	}
}

// Both ways at once, the writer in its own goroutine, corked and not.
func TestWritersDoNotMindAWatchedReader(t *testing.T) {
	p := running(t, 1)
	client, server, raw := secured(t, p, nil)
	s := watch(t, server, 64<<10)
	up, down := random(1, 8<<20), random(2, 8<<20)
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := client.Write(up); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() {
		for rest := down; len(rest) > 0; {
			n := min(len(rest), 1+rand.IntN(64<<10))
			raw.Cork()
			_, err := server.Write(rest[:n])
			if err := errors.Join(err, raw.Uncork()); err != nil {
				t.Error(err)
				return
			}
			rest = rest[n:]
		}
	})
	wg.Go(func() {
		if !bytes.Equal(readAll(t, client, len(down)), down) {
			t.Error("the client got other bytes")
		}
	})
	if !bytes.Equal(s.next(t, len(up)), up) {
		t.Error("the server got other bytes")
	}
	wg.Wait()
}

// What TLS has read before Watch is there at once.
func TestWatchFindsWhatCameBefore(t *testing.T) {
	p := running(t, 1)
	client, server, _ := secured(t, p, nil)
	want := random(1, 50_000)
	go client.Write(want)
	first := readAll(t, server, 3)
	s := watch(t, server, 64<<10)
	if got := append(first, s.next(t, len(want)-3)...); !bytes.Equal(got, want) {
		t.Error("other bytes came")
	}
}

func TestTheEndIsHeard(t *testing.T) {
	p := running(t, 1)
	t.Run("close_notify", func(t *testing.T) {
		client, server, _ := secured(t, p, nil)
		s := watch(t, server, 1000)
		client.Write([]byte("last words"))
		client.CloseWrite()
		if got := string(s.next(t, 10)); got != "last words" || !errors.Is(s.end(t), io.EOF) {
			t.Error(got)
		}
	})
	t.Run("close_notify in the same segment", func(t *testing.T) {
		client, server, _ := secured(t, p, func(c net.Conn) net.Conn { return cork.New(c) })
		s := watch(t, server, 1000)
		raw := client.NetConn().(*cork.Conn)
		raw.Cork()
		client.Write([]byte("last words"))
		client.CloseWrite()
		raw.SetWriteDeadline(time.Time{}) // CloseWrite lets nothing be written after it
		raw.Uncork()
		if got := string(s.next(t, 10)); got != "last words" || !errors.Is(s.end(t), io.EOF) {
			t.Error(got)
		}
	})
	t.Run("reset", func(t *testing.T) {
		client, server, _ := secured(t, p, nil)
		s := watch(t, server, 1000)
		tcp := client.NetConn().(*net.TCPConn)
		tcp.SetLinger(0)
		tcp.Close()
		if err := s.end(t); err == nil || errors.Is(err, io.EOF) {
			t.Error(err)
		}
	})
	t.Run("cut within a record", func(t *testing.T) {
		left := 1 << 20
		client, server, _ := secured(t, p, func(c net.Conn) net.Conn { return &cutting{c, &left} })
		s := watch(t, server, 64<<10)
		left = 1000
		client.Write(random(1, 5000))
		client.NetConn().(*cutting).Conn.Close()
		if err := s.end(t); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error(err)
		}
	})
	t.Run("a record that is none", func(t *testing.T) {
		client, server, _ := secured(t, p, nil)
		s := watch(t, server, 1000)
		client.NetConn().Write(random(1, 100))
		if err := s.end(t); err == nil || errors.Is(err, io.EOF) {
			t.Error(err)
		}
	})
	t.Run("our own close, from elsewhere", func(t *testing.T) {
		_, server, raw := secured(t, p, nil)
		s := watch(t, server, 1000)
		raw.Close()
		if err := s.end(t); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

// cutting drops what is written after some bytes.
type cutting struct {
	net.Conn
	left *int
}

func (c *cutting) Write(b []byte) (int, error) {
	n := min(len(b), *c.left)
	*c.left -= n
	if n > 0 {
		if _, err := c.Conn.Write(b[:n]); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// A connection that never stops talking takes turns with others.
func TestABusyConnectionLetsOthersHaveTheirTurn(t *testing.T) {
	p := running(t, 1)
	loud, loudServer, _ := secured(t, p, nil)
	turns, stop := 0, make(chan struct{})
	raw := loudServer.NetConn().(*evtls.Conn)
	buf := make([]byte, 64<<10)
	if err := raw.Watch(loudServer, func() bool {
		turns++
		_, _ = raw.TryRead(buf)
		select {
		case <-stop:
			return false
		default:
			return true // it wants more, whatever there is
		}
	}); err != nil {
		t.Fatal(err)
	}
	go func() {
		for b := make([]byte, 64<<10); ; {
			if _, err := loud.Write(b); err != nil {
				return
			}
		}
	}()
	quiet, server, _ := secured(t, p, nil)
	s := watch(t, server, 100)
	for range 100 {
		quiet.Write([]byte("x"))
		s.next(t, 1)
	}
	close(stop)
	raw.Close()
}

func TestWakeCallsReady(t *testing.T) {
	for name, p := range map[string]*evtls.Poller{"loop": running(t, 1), "goroutine": blocking(t)} {
		t.Run(name, func(t *testing.T) {
			client, server, raw := secured(t, p, nil)
			called := make(chan struct{}, 100)
			if err := raw.Watch(server, func() bool { called <- struct{}{}; return false }); err != nil {
				t.Fatal(err)
			}
			if err := raw.Watch(server, nil); err == nil {
				t.Error("watched twice")
			}
			for range 10 {
				<-called
				raw.Wake()
			}
			<-called
			client.Close()
			raw.Close()
			<-called
		})
	}
}

func blocking(t testing.TB) *evtls.Poller {
	p := evtls.NewBlocking()
	run(t, p)
	return p
}

// Where there are no loops, the same is done by a goroutine.
func TestBlockingPollerReadsTheSame(t *testing.T) {
	p := blocking(t)
	client, server, raw := secured(t, p, nil)
	s := watch(t, server, 64<<10)
	want := random(1, 1<<20)
	go client.Write(want)
	if !bytes.Equal(s.next(t, len(want)), want) {
		t.Error("other bytes came")
	}
	raw.Close()
	if err := s.end(t); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// What is no socket is read by a goroutine too.
func TestAConnectionWithoutASocket(t *testing.T) {
	p := running(t, 1)
	near, far := net.Pipe()
	raw := evtls.NewConn(p, near)
	_ = far.SetDeadline(time.Now().Add(limit))
	server, client := tlsPair(t, raw, far)
	s := watch(t, server, 100)
	go client.Write([]byte("hello"))
	if got := string(s.next(t, 5)); got != "hello" {
		t.Error(got)
	}
}

// What is to be done before the next read is done once, and can be taken back.
func TestOnRead(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	c := evtls.NewConn(evtls.NewBlocking(), theirs)
	defer c.Close()
	n := 0
	count := func() { n++ }
	if c.OnRead(count) != nil {
		t.Error("there was something to be done before")
	}
	go func() { _, _ = ours.Write([]byte("ab")) }()
	for range 2 {
		if _, err := c.Read(make([]byte, 1)); err != nil || n != 1 {
			t.Errorf("done %d times: %v", n, err)
		}
	}
	if c.OnRead(count); c.OnRead(nil) == nil || c.OnRead(nil) != nil {
		t.Error("it cannot be taken back, or twice")
	}
}

package mux_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"trunkline/internal/mux"
)

// Every implementation as client and as server of every other one that has us
// in it, over everything that sessions run on.
func TestConformance(t *testing.T) {
	for _, tr := range transports {
		for _, client := range implementations {
			for _, server := range implementations {
				if client.name != "ours" && server.name != "ours" {
					continue
				}
				for _, c := range conformance {
					t.Run(strings.Join([]string{tr.name, client.name, server.name, c.name}, "/"), func(t *testing.T) {
						a, b := tr.make(t)
						p, q := client.make(t, a, true), server.make(t, b, false)
						defer p.close()
						defer q.close()
						c.run(t, p, q)
						c.run(t, q, p) // both sides may open
					})
				}
			}
		}
	}
}

var conformance = []struct {
	name string
	run  func(t *testing.T, opener, acceptor peer)
}{
	{"echo", echoes},
	{"bulk", bulk},
	{"many", many},
	{"half-close", halfClose},
	{"unread", unread},
	{"reset", resets},
	{"deadline", deadlines},
	{"ping", pings},
	{"go-away", goesAway}, // last: the session takes no more streams
}

func echoes(t *testing.T, opener, acceptor peer) {
	s := opener.open(t)
	defer s.Close()
	go func() {
		s := acceptor.accept(t)
		defer s.Close()
		_, _ = io.Copy(s, s)
	}()
	for _, n := range []int{1, 11, 4096, 16384, 16385, 100_000} {
		want := bytes.Repeat([]byte{byte(n)}, n)
		go func() { _, _ = s.Write(want) }()
		got := make([]byte, n)
		if _, err := io.ReadFull(s, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
}

// noise is the same bytes for the same seed.
func noise(seed byte, n int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{seed}), n)
}

func digest(r io.Reader) string {
	h := sha256.New()
	_, _ = io.Copy(h, r)
	return string(h.Sum(nil))
}

// bulk is much more than a window, both ways at once, in writes of any size.
func bulk(t *testing.T, opener, acceptor peer) {
	const size = 3 << 20
	ends := func(s stream, seed byte) {
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := io.CopyBuffer(struct{ io.Writer }{s}, noise(seed, size), make([]byte, 777+int(seed)*13_000)); err != nil {
				t.Errorf("write: %v", err)
			}
			_ = s.CloseWrite()
		})
		if digest(s) != digest(noise(seed^1, size)) {
			t.Error("what came is not what was sent")
		}
		wg.Wait()
		s.Close()
	}
	var wg sync.WaitGroup
	wg.Go(func() { ends(acceptor.accept(t), 3) })
	ends(opener.open(t), 2)
	wg.Wait()
}

// many is more streams than may be unacknowledged.
func many(t *testing.T, opener, acceptor peer) {
	const streams = 400
	var wg sync.WaitGroup
	wg.Go(func() {
		for range streams {
			s := acceptor.accept(t)
			wg.Go(func() {
				defer s.Close()
				_, _ = io.Copy(s, s)
			})
		}
	})
	for i := range streams {
		wg.Go(func() {
			s := opener.open(t)
			defer s.Close()
			want := bytes.Repeat([]byte{byte(i)}, 500+i)
			_, _ = s.Write(want)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(s, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("stream %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

// halfClose: who has said all still hears the answer.
func halfClose(t *testing.T, opener, acceptor peer) {
	go func() {
		s := acceptor.accept(t)
		defer s.Close()
		b, _ := io.ReadAll(s)
		_, _ = s.Write(bytes.ToUpper(b))
	}()
	s := opener.open(t)
	defer s.Close()
	if _, err := s.Write([]byte("question")); err != nil {
		t.Fatal(err)
	}
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(s); err != nil || string(b) != "QUESTION" {
		t.Errorf("%q, %v", b, err)
	}
}

// unread: a stream that nobody reads holds up no other one.
func unread(t *testing.T, opener, acceptor peer) {
	full := opener.open(t)
	stopped := make(chan struct{})
	go func() { defer close(stopped); _, _ = io.Copy(full, noise(1, 64<<20)) }()
	ignored := acceptor.accept(t)
	for range 10 {
		go func() {
			s := acceptor.accept(t)
			defer s.Close()
			_, _ = io.CopyN(s, s, 1)
		}()
		s := opener.open(t)
		_ = s.SetDeadline(time.Now().Add(patience))
		_, _ = s.Write([]byte{1})
		if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	full.Reset()
	_ = full.SetWriteDeadline(time.Now().Add(-time.Second)) // hashicorp's writer waits for the window for ever
	ignored.Reset()
	<-stopped
}

// resets: the far side finds out, whatever it does just then.
func resets(t *testing.T, opener, acceptor peer) {
	for range 20 {
		s := opener.open(t)
		_, _ = s.Write([]byte("x"))
		far := acceptor.accept(t)
		s.Reset()
		_ = far.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, far); isTimeout(err) {
			t.Error("the far side did not find out")
		}
		far.Close()
	}
}

func pings(t *testing.T, opener, acceptor peer) {
	opener.ping(t)
	acceptor.ping(t)
}

// goesAway: who is told that the far side takes no more streams opens none, and
// goes on with those there are. Ours never says so: a tunnel has words for it.
func goesAway(t *testing.T, opener, acceptor peer) {
	us, ok := opener.(*ours)
	them, says := acceptor.(interface{ away() error })
	if !ok || !says {
		return
	}
	go func() {
		s := acceptor.accept(t)
		defer s.Close()
		_, _ = io.Copy(s, s)
	}()
	s := opener.open(t)
	defer s.Close()
	echo := func() {
		t.Helper()
		_ = s.SetDeadline(time.Now().Add(patience))
		_, _ = s.Write([]byte("x"))
		if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
			t.Errorf("a stream that is there: %v", err)
		}
	}
	echo()
	if err := them.away(); err != nil {
		t.Fatal(err)
	}
	echo() // what was said before has come
	if _, err := us.Open(nil); !errors.Is(err, mux.ErrPeerClosed) {
		t.Errorf("another stream: %v", err)
	}
	echo()
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

func deadlines(t *testing.T, opener, acceptor peer) {
	s := opener.open(t)
	defer s.Close()
	_, _ = s.Write([]byte("x"))
	far := acceptor.accept(t)
	defer far.Close()
	_ = s.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := s.Read(make([]byte, 1)); !isTimeout(err) {
		t.Errorf("read: %v", err)
	}
	_ = s.SetReadDeadline(time.Time{})
	_, _ = far.Write([]byte("y"))
	if _, err := s.Read(make([]byte, 1)); err != nil {
		t.Errorf("a late answer: %v", err)
	}
	_ = s.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := io.Copy(s, noise(1, 64<<20)); !isTimeout(err) {
		t.Errorf("write: %v", err)
	}
}

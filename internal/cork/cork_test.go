package cork_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"trunkline/internal/cork"
	"trunkline/internal/selfca"
)

// counted counts the writes that reach the socket.
type counted struct {
	net.Conn
	writes int
	fail   error
}

func (c *counted) Write(b []byte) (int, error) {
	c.writes++
	if c.fail != nil {
		return 0, c.fail
	}
	return c.Conn.Write(b)
}

func (c *counted) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }

func tcp(t testing.TB) (a, b net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if a, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// secured is a TLS server on a Conn, with a client that reads all there is.
func secured(t testing.TB) (s *tls.Conn, raw *cork.Conn, socket *counted, got func() []byte) {
	t.Helper()
	var all bytes.Buffer
	s, raw, socket, wait := securedTo(t, &all)
	return s, raw, socket, func() []byte { wait(); return all.Bytes() }
}

func securedTo(t testing.TB, sink io.Writer) (s *tls.Conn, raw *cork.Conn, socket *counted, wait func()) {
	t.Helper()
	ca, err := selfca.Open(t.TempDir(), "localhost")
	if err != nil {
		t.Fatal(err)
	}
	a, b := tcp(t)
	socket = &counted{Conn: a}
	raw = cork.New(socket)
	s = tls.Server(raw, &tls.Config{GetCertificate: ca.Certificate, DynamicRecordSizingDisabled: true, SessionTicketsDisabled: true})
	var wg sync.WaitGroup
	wg.Go(func() {
		c := tls.Client(b, &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"})
		if _, err := io.Copy(sink, c); err != nil {
			t.Errorf("client: %v", err)
		}
	})
	if err := s.Handshake(); err != nil {
		t.Fatal(err)
	}
	socket.writes = 0
	return s, raw, socket, func() {
		if err := raw.HangUp(s, time.Now().Add(10*time.Second)); err != nil {
			t.Error(err)
		}
		wg.Wait()
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func TestABatchOfRecordsIsOneWrite(t *testing.T) {
	s, raw, socket, got := secured(t)
	want := random(64 << 10)
	raw.Cork()
	for rest := want; len(rest) > 0; {
		n := min(len(rest), 200+len(rest)/4)
		if _, err := s.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if socket.writes != 0 {
		t.Errorf("%d writes before the end of the batch", socket.writes)
	}
	if err := raw.Uncork(); err != nil {
		t.Fatal(err)
	}
	if socket.writes != 1 {
		t.Errorf("%d writes, not 1", socket.writes)
	}
	if cork.Holds(raw) {
		t.Error("it holds a buffer while idle")
	}
	if !bytes.Equal(got(), want) {
		t.Error("other bytes came")
	}
}

func TestWithoutACorkWritesGoOutAtOnce(t *testing.T) {
	s, _, socket, got := secured(t)
	want := random(64 << 10)
	if _, err := s.Write(want); err != nil || socket.writes != 4 {
		t.Errorf("%d writes, %v", socket.writes, err)
	}
	if !bytes.Equal(got(), want) {
		t.Error("other bytes came")
	}
}

// Whatever is corked, in whatever sizes, the bytes and their order stay.
func TestBytesStayTheSame(t *testing.T) {
	s, raw, socket, got := secured(t)
	want := random(3 << 20)
	batches := 0
	for rest := want; len(rest) > 0; batches++ {
		corked := rand.IntN(3) > 0
		if corked {
			raw.Cork()
		}
		for range rand.IntN(5) {
			n := min(len(rest), rand.IntN(1+rand.IntN(200<<10)))
			if _, err := s.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if !corked {
			continue
		}
		if err := raw.Uncork(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d batches, %d writes", batches, socket.writes)
	if !bytes.Equal(got(), want) {
		t.Error("other bytes came")
	}
}

func TestAWriteAboveTheRoomIsMadeAsItComes(t *testing.T) {
	a, b := tcp(t)
	socket := &counted{Conn: a}
	c := cork.New(socket)
	want := random(2 + cork.Size + 1)
	c.Cork()
	for _, part := range [][]byte{want[:2], want[2:]} {
		if n, err := c.Write(part); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	if socket.writes != 2 || cork.Holds(c) {
		t.Errorf("%d writes, holds a buffer: %v", socket.writes, cork.Holds(c))
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, want) {
		t.Errorf("other bytes came, %v", err)
	}
}

// TLS was told that the records are out, so nothing may follow them.
func TestAfterALostBatchNothingIsWritten(t *testing.T) {
	a, _ := tcp(t)
	lost := errors.New("lost")
	socket := &counted{Conn: a, fail: lost}
	c := cork.New(socket)
	c.Cork()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := c.Uncork(); !errors.Is(err, lost) || cork.Holds(c) {
		t.Errorf("%v, holds a buffer: %v", err, cork.Holds(c))
	}
	socket.fail = nil
	if _, err := c.Write([]byte("y")); !errors.Is(err, lost) {
		t.Errorf("a write after it: %v", err)
	}
	if err := c.CloseWrite(); !errors.Is(err, lost) {
		t.Errorf("a half close after it: %v", err)
	}
	if socket.writes != 1 {
		t.Errorf("%d writes", socket.writes)
	}
}

// fill leaves c in Uncork, waiting for a peer that does not read.
func fill(c *cork.Conn) error {
	for b := random(64 << 10); ; {
		c.Cork()
		if _, err := c.Write(b); err != nil {
			return err
		}
		if err := c.Uncork(); err != nil {
			return err
		}
	}
}

func TestTheWriteDeadlineHoldsForABatch(t *testing.T) {
	a, _ := tcp(t)
	c := cork.New(a)
	if err := c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if err := fill(c); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

func TestCloseFreesWhoWaitsForTheSocket(t *testing.T) {
	a, _ := tcp(t)
	c := cork.New(a)
	ended := make(chan error)
	go func() { ended <- fill(c) }()
	select {
	case err := <-ended:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(50 * time.Millisecond): // most likely it waits now; if not, the test holds all the same
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// What TLS writes of itself, while a batch waits for a peer that does not read,
// must not wait too; nor may it grow for ever.
func TestDetachedWritesDoNotWait(t *testing.T) {
	a, b := tcp(t)
	c := cork.New(a)
	c.Detach()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(b, make([]byte, 1)); err != nil {
		t.Errorf("what was written outside a batch did not come: %v", err)
	}
	ended := make(chan error)
	go func() { ended <- fill(c) }()
	time.Sleep(50 * time.Millisecond) // most likely it waits now; if not, the test holds all the same
	var err error
	n := 0
	for ; err == nil && n <= cork.Size; n++ {
		_, err = c.Write([]byte("y"))
	}
	if err == nil || n < 4<<10 {
		t.Errorf("after %d bytes: %v", n, err)
	}
	c.Close()
	if err := <-ended; err == nil {
		t.Error("the batch was sent")
	}
}

func TestDetachedBytesKeepTheirOrder(t *testing.T) {
	s, raw, _, got := secured(t)
	raw.Detach()
	want := random(1 << 20)
	for rest := want; len(rest) > 0; {
		n := min(len(rest), 1+rand.IntN(40<<10))
		raw.Cork()
		if _, err := s.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		if err := raw.Uncork(); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
		m := min(len(rest), 3)
		if _, err := s.Write(rest[:m]); err != nil {
			t.Fatal(err)
		}
		rest = rest[m:]
	}
	if !bytes.Equal(got(), want) {
		t.Error("other bytes came")
	}
}

type discard struct{ net.Conn }

func (discard) Write(b []byte) (int, error) { return len(b), nil }

func TestABatchAllocatesNothing(t *testing.T) {
	c := cork.New(discard{})
	b := random(16 << 10)
	if n := testing.AllocsPerRun(100, func() {
		c.Cork()
		for range 4 {
			_, _ = c.Write(b)
		}
		_ = c.Uncork()
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkWrite(b *testing.B) {
	for _, corked := range []bool{false, true} {
		name := "corked=no"
		if corked {
			name = "corked=yes"
		}
		b.Run(name, func(b *testing.B) {
			s, raw, socket, wait := securedTo(b, io.Discard)
			data := random(64 << 10)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if corked {
					raw.Cork()
				}
				_, _ = s.Write(data)
				if corked {
					_ = raw.Uncork()
				}
			}
			b.ReportMetric(float64(socket.writes)*16/float64(b.N), "writes/MiB")
			wait()
		})
	}
}

// little takes n bytes at a time, and nothing in between.
type little struct {
	got bytes.Buffer
	n   int
}

func (l *little) try(b []byte) (int, error) {
	n, _ := l.got.Write(b[:min(l.n, len(b))])
	return n, nil
}

// What does not go out at once stays, in its order, until somebody may wait.
func TestTryingWritesWhatItCan(t *testing.T) {
	a, b := tcp(t)
	raw := cork.New(a)
	var first little
	first.n = 1000
	want := random(9000)
	if done, err := raw.TryWrite(want[:500], first.try); !done || err != nil {
		t.Fatal(done, err)
	}
	if done, err := raw.TryWrite(want[500:4000], first.try); done || err != nil {
		t.Fatal(done, err)
	}
	if done, err := raw.TryWrite(want[4000:5000], first.try); done || err != nil {
		t.Fatal(done, err)
	}
	_, _ = raw.Write(want[5000:]) // it is corked: this waits too
	if done, err := raw.TryUncork(first.try); done || err != nil {
		t.Fatal(done, err)
	}
	if err := raw.Uncork(); err != nil {
		t.Fatal(err)
	}
	_ = raw.CloseWrite()
	rest, err := io.ReadAll(b)
	if err != nil || !bytes.Equal(append(first.got.Bytes(), rest...), want) {
		t.Errorf("other bytes came, or in another order: %v", err)
	}
	if cork.Holds(raw) {
		t.Error("it holds a buffer while idle")
	}
}

// An error of one attempt is the end of writing, as with any other.
func TestTryingFails(t *testing.T) {
	a, _ := tcp(t)
	raw := cork.New(a)
	raw.Cork()
	_, _ = raw.Write([]byte("lost"))
	broken := errors.New("broken")
	if done, err := raw.TryUncork(func([]byte) (int, error) { return 0, broken }); !done || !errors.Is(err, broken) {
		t.Error(done, err)
	}
	if _, err := raw.TryWrite([]byte("more"), new(little).try); !errors.Is(err, broken) {
		t.Errorf("a write behind what is lost: %v", err)
	}
}

package mux_test

import (
	"context"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"trunkline/internal/mux"
)

// counted is a connection that counts writes.
type counted struct {
	net.Conn
	writes atomic.Int64
}

func (c *counted) Write(b []byte) (int, error) { c.writes.Add(1); return c.Conn.Write(b) }

// world is two of our sessions, one of which echoes.
func world(t testing.TB, cfg mux.Config) (client *ours, up, down *counted) {
	a, b := tcpPair(t)
	up, down = &counted{Conn: a}, &counted{Conn: b}
	server := drive(t, down, mux.Config{Accept: func(s *mux.Stream) {
		go func() {
			defer s.Close()
			var b [4096]byte
			for {
				n, err := s.Read(b[:])
				if err != nil {
					return
				}
				if _, err := s.Write(b[:n]); err != nil {
					return
				}
			}
		}()
	}})
	cfg.Client = true
	client = drive(t, up, cfg)
	t.Cleanup(func() { client.close(); server.close() })
	return client, up, down
}

// A request on a stream of its own is one write there, and one back beside the
// acknowledgement.
func TestARequestIsOneWrite(t *testing.T) {
	client, up, down := world(t, mux.Config{})
	s, err := client.Open(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Hold([]byte("header"))
	_, _ = s.Write([]byte("request"))
	b := make([]byte, len("headerrequest"))
	if _, err := io.ReadFull(s, b); err != nil || string(b) != "headerrequest" {
		t.Fatalf("%q, %v", b, err)
	}
	if up, down := up.writes.Load(), down.writes.Load(); up != 1 || down > 2 {
		t.Errorf("%d writes there and %d back", up, down)
	}
	for i := range int64(10) {
		_, _ = s.Write(b)
		_, _ = io.ReadFull(s, b)
		if up := up.writes.Load(); up != 2+i {
			t.Fatalf("%d writes for %d requests", up, 2+i)
		}
	}
}

func TestEchoAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and makes pools forget")
	}
	client, _, _ := world(t, mux.Config{})
	s, err := client.Open(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b := make([]byte, 100)
	if n := testing.AllocsPerRun(1000, func() {
		_, _ = s.Write(b)
		_, _ = io.ReadFull(s, b)
	}); n > 0.5 { // a collection now and then empties pools
		t.Errorf("%v allocations", n)
	}
}

// A session that was busy and is idle holds next to nothing, and no goroutine
// but its reader's.
func TestIdleSessionsHoldNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's memory would be measured")
	}
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	const sessions = 1000
	before := heap()
	var all [sessions]*mux.Session
	for i := range all {
		a := mux.New(mux.Config{Client: true, Write: func(b []byte) error { return nil }, Accept: func(*mux.Stream) {}})
		s, err := a.Open(nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = s.Write(make([]byte, 100_000))
		s.Reset()
		all[i] = a
	}
	each := (heap() - before) / sessions
	t.Logf("%d bytes each", each)
	if each > 1024 {
		t.Errorf("an idle session holds %d bytes", each)
	}
	runtime.KeepAlive(all)
}

// A connection that takes nothing holds up no Close, Post or Open, and ends all
// waits when it fails.
func TestAStuckConnection(t *testing.T) {
	stuck := make(chan struct{})
	s := mux.New(mux.Config{Client: true, Write: func([]byte) error { <-stuck; return io.ErrClosedPipe }})
	first, _ := s.Open(nil)
	wrote := make(chan error, 3)
	go func() { _, err := first.Write(make([]byte, 1<<20)); wrote <- err }()
	second, _ := s.Open(nil)
	for first.Unread() == 0 && second.Post([]byte("x")) {
		runtime.Gosched() // until there is no room
	}
	go func() { _, err := second.Write(make([]byte, 1<<20)); wrote <- err }()
	third, err := s.Open(nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = third.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := third.Write(make([]byte, 1<<20)); !isTimeout(err) {
		t.Errorf("a write with a deadline: %v", err)
	}
	third.Close()
	close(stuck)
	for range 2 {
		if err := <-wrote; err == nil {
			t.Error("a write to nowhere succeeded")
		}
	}
	if _, err := s.Open(nil); err == nil {
		t.Error("a session that cannot send opens streams")
	}
	s.Fail(nil)
}

// 256 streams may be unacknowledged; the next one waits, or gives up.
func TestOpenWaitsForAcknowledgements(t *testing.T) {
	a, b := tcpPair(t)
	client := drive(t, a, mux.Config{Client: true})
	defer client.close()
	for range 256 {
		s := client.open(t)
		_, _ = s.Write([]byte("x"))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := client.Open(ctx.Done()); err == nil {
		t.Fatal("a 257th stream")
	}
	if client.Unacknowledged() == 0 {
		t.Error("nobody seems to wait")
	}
	done := make(chan error, 1)
	go func() { _, err := client.Open(nil); done <- err }()
	server := drive(t, b, mux.Config{}) // it acknowledges
	defer server.close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Finish sends what was taken, the ends of streams and the last words, and
// then calls.
func TestFinish(t *testing.T) {
	a, b := tcpPair(t)
	client := drive(t, a, mux.Config{Client: true, BothWays: true})
	server := drive(t, b, mux.Config{BothWays: true})
	defer server.close()
	defer client.close()
	last, _ := client.Open(nil)
	last.SetUrgent()
	s, _ := client.Open(nil)
	s.Hold([]byte("taken"))
	last.Announce()
	done := make(chan struct{})
	client.Finish(last, []byte("goodbye"), func() { _ = a.(*net.TCPConn).CloseWrite(); close(done) })
	<-done
	heard := map[string]bool{}
	for range 2 {
		far := server.accept(t)
		var b [7]byte
		n, _ := io.ReadAtLeast(far, b[:], 5)
		heard[string(b[:n])] = true
	}
	if !heard["goodbye"] || !heard["taken"] {
		t.Errorf("heard %v", heard)
	}
	if _, err := s.Write([]byte("late")); err == nil {
		t.Error("a stream goes on after Finish")
	}
}

func BenchmarkEcho(b *testing.B) {
	client, _, _ := world(b, mux.Config{})
	s, err := client.Open(nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	buf := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = s.Write(buf)
		_, _ = io.ReadFull(s, buf)
	}
}

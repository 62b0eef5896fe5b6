package mux_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"trunkline/internal/mux"
)

// All of a body comes in order, whether it is fed or read, and however often who is
// fed has enough.
func TestFeed(t *testing.T) {
	before := mux.InUse()
	a, b := both(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	want := make([]byte, 4<<20)
	for i := range want {
		want[i] = byte(rnd.Uint32())
	}
	s := a.open(t)
	go func() {
		rnd := rand.New(rand.NewPCG(3, 4))
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 1+rnd.IntN(100_000))
			if _, err := s.Write(rest[:n]); err != nil {
				t.Error(err)
				return
			}
			rest = rest[n:]
		}
		_ = s.CloseWrite()
	}()
	r := <-b.accepted
	var got []byte
	fed := int64(0)
	for {
		size := int64(1 + rnd.IntN(300_000))
		stop := rnd.IntN(4)
		was := len(got)
		n, err := r.Feed(size, time.Now().Add(time.Duration(rnd.IntN(20))*time.Millisecond), func(bs net.Buffers) bool {
			for _, b := range bs {
				got = append(got, b...)
			}
			stop--
			return stop != 0
		})
		if n != int64(len(got)-was) || n > size || n > 0 && err != nil {
			t.Fatalf("%d bytes fed of %d, said to be %d: %v", len(got)-was, size, n, err)
		}
		if fed += n; n == 0 && err == nil {
			p := make([]byte, 1+rnd.IntN(100_000))
			var m int
			m, err = r.Read(p)
			got = append(got, p[:m]...)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%d bytes of %d, or others", len(got), len(want))
	}
	if fed == 0 {
		t.Error("nothing was fed")
	}
	_ = r.Close()
	a.close()
	b.close()
	for end := time.Now().Add(30 * time.Second); mux.InUse() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d segments were not given back", mux.InUse()-before)
		}
	}
}

// Whoever waits to be fed hears of its deadline, of a reset and of the session's end.
func TestFeedEnds(t *testing.T) {
	nothing := func(net.Buffers) bool { return true }
	open := func() (a, b *ours, s stream, r *mux.Stream) {
		a, b = both(t)
		s = a.open(t)
		if _, err := s.Write([]byte("one")); err != nil {
			t.Fatal(err)
		}
		r = <-b.accepted
		if _, err := io.ReadFull(r, make([]byte, 3)); err != nil {
			t.Fatal(err)
		}
		return a, b, s, r
	}
	later := func(f func()) { time.AfterFunc(10*time.Millisecond, f) }

	_, _, _, r := open()
	if n, err := r.Feed(100, time.Now().Add(10*time.Millisecond), nothing); n != 0 || err != nil {
		t.Errorf("when it was time to: %d, %v", n, err)
	}
	_ = r.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	var timeout net.Error
	if n, err := r.Feed(100, time.Now().Add(patience), nothing); n != 0 || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("over its deadline: %d, %v", n, err)
	}
	_ = r.SetReadDeadline(time.Time{})
	later(r.Reset)
	if n, err := r.Feed(100, time.Now().Add(patience), nothing); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("after a reset by ourselves: %d, %v", n, err)
	}

	_, _, s, r := open()
	later(func() { _ = s.Close() })
	if n, err := r.Feed(100, time.Now().Add(patience), nothing); n != 0 || err != io.EOF {
		t.Errorf("after the far side's end: %d, %v", n, err)
	}

	_, b, _, r := open()
	later(func() { b.Fail(nil) })
	if n, err := r.Feed(100, time.Now().Add(patience), nothing); n != 0 || !errors.Is(err, mux.ErrLost) {
		t.Errorf("after the session's end: %d, %v", n, err)
	}
}

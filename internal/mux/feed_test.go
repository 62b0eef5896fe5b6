package mux_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
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
	var sent atomic.Int64
	caughtUp := make(chan struct{}, 1) // the reader has all that was sent: what comes next finds it waiting
	go func() {
		rnd := rand.New(rand.NewPCG(3, 4))
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 1+rnd.IntN(100_000))
			if sent.Load() > 0 && rnd.IntN(2) == 0 {
				<-caughtUp
			}
			sent.Add(int64(n))
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
		if int64(was) == sent.Load() {
			select {
			case caughtUp <- struct{}{}:
			default:
			}
		}
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
	givenBack(t, before)
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

// The same in the middle of what comes: whoever is fed gets away from a close, a
// reset, a deadline and the session's end, whenever they happen.
func TestFeedEndsInTheMiddle(t *testing.T) {
	for seed := range uint64(20) {
		a, b := both(t)
		rnd := rand.New(rand.NewPCG(seed, 9))
		var fed sync.WaitGroup
		var readers []*mux.Stream
		for range 8 {
			s := a.open(t)
			go func() {
				p := make([]byte, 40_000)
				for {
					if _, err := s.Write(p); err != nil {
						return
					}
				}
			}()
			readers = append(readers, <-b.accepted)
		}
		for i, r := range readers {
			size, enough := int64(1+rnd.IntN(300_000)), 1+rnd.IntN(3)
			fed.Go(func() {
				for err := error(nil); err == nil; {
					left := enough
					var n int64
					n, err = r.Feed(size, time.Now().Add(time.Hour), func(net.Buffers) bool {
						left--
						return left > 0
					})
					if n == 0 && err == nil {
						_, err = r.Read(make([]byte, 10_000))
					}
				}
			})
			end := []func(){
				r.Reset,
				func() { _ = r.Close() },
				func() { _ = r.SetReadDeadline(time.Now()) },
			}[rnd.IntN(3)]
			if i == 0 {
				end = []func(){func() { b.Fail(nil) }, func() { b.Finish(nil, nil, func() {}) }, end}[rnd.IntN(3)]
			}
			time.AfterFunc(time.Duration(rnd.IntN(20_000))*time.Microsecond, end)
		}
		over := make(chan struct{})
		go func() { fed.Wait(); close(over) }()
		select {
		case <-over:
		case <-time.After(patience):
			t.Fatalf("seed %d: somebody is fed for ever", seed)
		}
		a.close()
		b.close()
	}
}

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

func both(t *testing.T) (a, b *ours) {
	x, y := tcpPair(t)
	a, b = drive(t, x, mux.Config{Client: true}), drive(t, y, mux.Config{})
	t.Cleanup(func() { a.close(); b.close() })
	return a, b
}

// What is lent is what was written, whatever sizes it is asked for in and
// however reads come in between; and all segments are given back.
func TestLend(t *testing.T) {
	before := mux.InUse()
	a, b := both(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	want := make([]byte, 3<<20)
	for i := range want {
		want[i] = byte(rnd.Uint32())
	}
	s := a.open(t)
	go func() {
		rnd := rand.New(rand.NewPCG(3, 4))
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 1+rnd.IntN(100_000))
			if rnd.IntN(3) == 0 {
				n = min(n, 1+rnd.IntN(300))
			}
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
	for {
		size := 1 + rnd.IntN(100_000)
		n, err := 0, error(nil)
		if rnd.IntN(4) == 0 {
			p := make([]byte, size)
			n, err = r.Read(p)
			got = append(got, p[:n]...)
		} else {
			was := len(got)
			lend := r.Lend
			if rnd.IntN(2) == 0 {
				lend = r.TryLend
			}
			n, err = lend(size, func(bs net.Buffers) error {
				for _, b := range bs {
					got = append(got, b...)
				}
				return nil
			})
			if err == mux.ErrWouldBlock {
				continue
			}
			if n != len(got)-was || n > size {
				t.Fatalf("%d bytes lent of %d, said to be %d", len(got)-was, size, n)
			}
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
	_ = r.Close()
	a.close()
	b.close()
	givenBack(t, before)
}

// givenBack waits until no more segments are in use than before: both ends give
// back what they hold when their goroutines have ended. What others held may have
// been given back since.
func givenBack(t *testing.T, before int64) {
	t.Helper()
	for end := time.Now().Add(patience); mux.InUse() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d segments were not given back", mux.InUse()-before)
		}
	}
}

// An error of who was lent is the caller's, and what was lent is gone.
func TestLendToWhoFails(t *testing.T) {
	a, b := both(t)
	s := a.open(t)
	if _, err := s.Write([]byte("one")); err != nil {
		t.Fatal(err)
	}
	r := <-b.accepted
	full := errors.New("full")
	if n, err := r.Lend(100, func(net.Buffers) error { return full }); n != 3 || err != full {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := s.Write([]byte("two")); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 10)
	if n, err := r.Read(p); err != nil || string(p[:n]) != "two" {
		t.Errorf("%q, %v", p[:n], err)
	}
}

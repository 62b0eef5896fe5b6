package mux_test

import (
	"bytes"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"trunkline/internal/mux"
)

// Flush sends what is held by itself, and leaves to others what it would have to
// wait for; nothing is lost or overtaken by that.
func TestFlush(t *testing.T) {
	var up *counted
	var left []byte
	var settles atomic.Int64
	full := true
	client, up, _ := world(t, mux.Config{
		TryWrite: func(b []byte) (bool, error) {
			if full = !full; full { // every second time the socket takes a part of it
				left = append([]byte(nil), b[len(b)/2:]...)
				_, err := up.Write(b[:len(b)/2])
				return false, err
			}
			_, err := up.Write(b)
			return true, err
		},
		Settle: func() error {
			settles.Add(1)
			time.Sleep(time.Millisecond) // others come meanwhile
			_, err := up.Write(left)
			return err
		},
	})
	s, err := client.Open(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 200 {
		want := bytes.Repeat([]byte{byte(i)}, 100)
		if !s.Hold(want[:50]) {
			t.Fatal("no room to hold 50 bytes")
		}
		s.Flush()
		if i%2 == 0 {
			s.Hold(want[50:])
			s.Flush()
		} else if _, err := s.Write(want[50:]); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 100)
		if _, err := io.ReadFull(s, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("round %d: %x, %v", i, got, err)
		}
	}
	if settles.Load() == 0 {
		t.Error("nothing was left to anybody")
	}
}

// Who drives a stream hears of the session's end from whoever ends it.
func TestOnChangeHearsOfTheEnd(t *testing.T) {
	client, _, _ := world(t, mux.Config{})
	s, err := client.Open(nil)
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan struct{}, 100)
	s.OnChange(func() { heard <- struct{}{} })
	var b [10]byte
	if _, err := s.TryRead(b[:]); !errors.Is(err, mux.ErrWouldBlock) {
		t.Fatal(err)
	}
	client.Fail(nil)
	select {
	case <-heard:
	case <-time.After(10 * time.Second):
		t.Fatal("nobody said so")
	}
	if _, err := s.TryRead(b[:]); !errors.Is(err, mux.ErrLost) {
		t.Error(err)
	}
}

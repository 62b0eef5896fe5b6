package main

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// In an open loop whoever had to come late has waited since its time: one answer
// that takes a second is a long wait for all that were due meanwhile.
func TestOpenLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := true
		o, err := openLoop(t.Context(), 1, 10, 3*time.Second, func(int) error {
			if slow {
				time.Sleep(time.Second)
			}
			slow = false
			return nil
		})
		if err != nil || o.ops() != 30 {
			t.Fatalf("%d operations, %v", o.ops(), err)
		}
		if got := o.within(1); got != 1e9 {
			t.Errorf("the longest wait is %v", got)
		}
		if got := o.within(0.75); got != 3e8 { // 10 of 30 were late: by 1.0, 0.9, ... 0.1 s
			t.Errorf("three quarters waited %v", got)
		}
	})
}

// Two workers have half the rate each, between each other's.
func TestOpenLoopShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		at := make(chan time.Duration, 100)
		o, err := openLoop(t.Context(), 2, 10, time.Second, func(int) error {
			at <- time.Since(began)
			return nil
		})
		if err != nil || o.ops() != 10 {
			t.Fatalf("%d operations, %v", o.ops(), err)
		}
		for i := range 10 {
			if got := <-at; got != time.Duration(i)*100*time.Millisecond {
				t.Errorf("operation %d at %v", i, got)
			}
		}
	})
}

// In a closed loop the next is asked when the last is answered.
func TestClosedLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, err := closedLoop(t.Context(), 2, time.Second, func(i int) error {
			time.Sleep(time.Duration(i+1) * 100 * time.Millisecond)
			return nil
		})
		if err != nil || o.ops() != 10+5 || o.took != time.Second {
			t.Errorf("%d operations in %v, %v", o.ops(), o.took, err)
		}
		if x := o.extras("req"); x["req/s"] != 15 || x["p50-ns/op"] != 1e8 || x["p99-ns/op"] != 0 {
			t.Errorf("%v", x)
		}
	})
}

func TestLoopsEnd(t *testing.T) {
	broken := errors.New("broken")
	if _, err := closedLoop(t.Context(), 3, time.Minute, func(int) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("a failing operation: %v", err)
	}
	if _, err := openLoop(t.Context(), 3, 1000, time.Minute, func(int) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("a failing operation: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(broken)
	if _, err := closedLoop(ctx, 1, time.Minute, func(int) error { return nil }); !errors.Is(err, broken) {
		t.Errorf("interrupted: %v", err)
	}
	if _, err := closedLoop(t.Context(), 1, 0, func(int) error { return nil }); !errors.Is(err, errNoLoad) {
		t.Errorf("no time: %v", err)
	}
}

func TestWebSocket(t *testing.T) {
	if got := acceptKey("dGhlIHNhbXBsZSBub25jZQ=="); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" { // RFC 6455, 1.3
		t.Errorf("accept key %q", got)
	}
	e := portalEndpoint(t)
	w, err := e.dial(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.upgrade("/ws"); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 125, 126, 70, maxFrame} {
		if err := w.echo(bytes.Repeat([]byte("x"), n)); err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if w, err = e.dial(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.upgrade("/1kb"); err == nil {
		t.Error("a page passes for a WebSocket")
	}
}

func TestPage(t *testing.T) {
	e := portalEndpoint(t)
	if err := openPage(t.Context(), e, nil); err != nil {
		t.Error(err)
	}
	e.port = "1"
	if err := openPage(t.Context(), e, nil); err == nil {
		t.Error("a page came from nowhere")
	}
}

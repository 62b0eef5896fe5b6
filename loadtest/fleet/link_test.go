package fleet

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"trunkline/loadtest/scenario"
)

// carried is a connection over a link, and its other end.
func carried(k *link) (near, far net.Conn) {
	a, b := net.Pipe()
	return k.carry(a), b
}

func TestLinkCarries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newLink(&scenario.Line{RTT: 200 * time.Millisecond}, 1)
		near, far := carried(k)
		defer far.Close()
		defer near.Close()
		began := time.Now()
		go func() { _, _ = near.Write([]byte("word")) }()
		b := make([]byte, 4)
		if _, err := io.ReadFull(far, b); err != nil || string(b) != "word" {
			t.Fatalf("%q, %v", b, err)
		}
		if took := time.Since(began); took < 100*time.Millisecond {
			t.Errorf("it took %v over a line of 100 ms each way", took)
		}
	})
}

// While a PBX is silent nothing passes either way, not even an end; a
// connection into which something was written meanwhile is broken.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newLink(nil, 1)
		near, far := carried(k)
		defer far.Close()
		k.silence(true)

		got := make(chan error, 1)
		go func() {
			_, err := far.Read(make([]byte, 1))
			got <- err
		}()
		if n, err := near.Write([]byte("lost")); n != 4 || err != nil {
			t.Errorf("a write into the silence: %d, %v", n, err)
		}
		if err := near.Close(); err != nil {
			t.Error(err)
		}
		late, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := k.open(late); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a dial into the silence: %v", err)
		}
		select {
		case err := <-got:
			t.Fatalf("the other end heard of it: %v", err)
		default:
		}

		k.silence(false)
		if err := <-got; !errors.Is(err, io.EOF) {
			t.Errorf("after the silence: %v", err)
		}
		if err := k.open(t.Context()); err != nil {
			t.Errorf("a dial after the silence: %v", err)
		}
	})
}

func TestAConnectionWithAHoleIsBroken(t *testing.T) {
	k := newLink(nil, 1)
	near, far := carried(k)
	defer far.Close()
	defer near.Close()
	k.silence(true)
	_, _ = near.Write([]byte("lost"))
	k.silence(false)
	if _, err := near.Write([]byte("more")); !errors.Is(err, errVanished) {
		t.Errorf("what is written after a hole: %v", err)
	}
}

func TestDropEndsWhatIsCarried(t *testing.T) {
	k := newLink(nil, 1)
	near, far := carried(k)
	defer far.Close()
	k.drop()
	if _, err := near.Read(make([]byte, 1)); err == nil {
		t.Error("it goes on")
	}
	if err := near.Close(); err != nil {
		t.Error(err)
	}
	if len(k.conns) != 0 {
		t.Errorf("%d connections are kept", len(k.conns))
	}
}

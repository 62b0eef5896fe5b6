package evtls_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	"trunkline/internal/evtls"
)

func TestLeanReadersReadTheSame(t *testing.T) {
	p := blocking(t)
	for name, each := range map[string]func() int{
		"one at a time": func() int { return 1 },
		"random":        func() int { return 1 + rand.IntN(40_000) },
		"whole":         func() int { return 1 << 20 },
	} {
		t.Run(name, func(t *testing.T) {
			client, server, raw := secured(t, p, func(n net.Conn) net.Conn { return &chopped{n, each} })
			want := random(1, 40*each())
			go func() {
				client.Write(want)
				client.CloseWrite()
			}()
			var got []byte
			var err error
			for n, b := 0, make([]byte, 5000); err == nil; got = append(got, b[:n]...) {
				n, err = raw.ReadLean(server, b[:1+rand.IntN(len(b))])
			}
			if !errors.Is(err, io.EOF) || !bytes.Equal(got, want) {
				t.Errorf("%d of %d bytes, or others: %v", len(got), len(want), err)
			}
		})
	}
}

func TestLeanReadersWait(t *testing.T) {
	p := blocking(t)
	client, server, raw := secured(t, p, nil)
	read := func() (string, error) {
		b := make([]byte, 100)
		n, err := raw.ReadLean(server, b)
		return string(b[:n]), err
	}
	for range 3 {
		go func() {
			time.Sleep(5 * time.Millisecond) // most likely it waits by now
			client.Write([]byte("hello"))
		}()
		if got, err := read(); got != "hello" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
	raw.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
	if _, err := read(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("at the deadline: %v", err)
	}
	client.Write([]byte("again"))
	for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); { // with something there, too
		if _, err := read(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("after the deadline: %v", err)
		}
	}
	raw.SetReadDeadline(time.Time{})
	if got, err := read(); got != "again" || err != nil {
		t.Errorf("without a deadline: %q, %v", got, err)
	}
	go func() {
		time.Sleep(5 * time.Millisecond)
		raw.Close()
	}()
	if _, err := read(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after our close: %v", err)
	}
}

func TestLeanReadersHearAReset(t *testing.T) {
	p := blocking(t)
	client, server, raw := secured(t, p, nil)
	go func() {
		time.Sleep(5 * time.Millisecond)
		tcp := client.NetConn().(*net.TCPConn)
		tcp.SetLinger(0)
		tcp.Close()
	}()
	if _, err := raw.ReadLean(server, make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

func TestLeanReadersHoldNoBuffer(t *testing.T) {
	p := blocking(t)
	client, server, raw := secured(t, p, nil)
	go client.Write(random(1, 100_000))
	b := make([]byte, 64<<10)
	for got := 0; got < 100_000; {
		n, err := raw.ReadLean(server, b)
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
	raw.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := raw.ReadLean(server, b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	if n := evtls.Held(raw); n > 0 {
		t.Errorf("TLS holds %d bytes", n)
	}
}

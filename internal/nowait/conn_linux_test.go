package nowait_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"trunkline/internal/nowait"
)

// pair is a connection with these calls, and its other end.
func pair(t testing.TB) (wrapped, peer net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if peer, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); peer.Close() })
	return nowait.Wrap(c), peer
}

// More than a socket takes at once is written whole, and read whole.
func TestBytes(t *testing.T) {
	c, peer := pair(t)
	sent := make([]byte, 20<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(sent)
	go func() {
		_, err := c.Write(sent)
		if err := errors.Join(err, c.(interface{ CloseWrite() error }).CloseWrite()); err != nil {
			t.Error(err)
		}
	}()
	got, err := io.ReadAll(peer)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes came of %d, or other ones: %v", len(got), len(sent), err)
	}
	go func() {
		_, err := peer.Write(sent)
		if err := errors.Join(err, peer.(*net.TCPConn).CloseWrite()); err != nil {
			t.Error(err)
		}
	}()
	if got, err = io.ReadAll(c); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes came of %d, or other ones: %v", len(got), len(sent), err)
	}
}

// Several pieces still go in one call, which only package net can make.
func TestBuffersAreOneWrite(t *testing.T) {
	c, peer := pair(t)
	pieces := net.Buffers{[]byte("one "), []byte("two "), []byte("three")}
	if _, err := pieces.WriteTo(c); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64)
	if n, err := peer.Read(b); err != nil || string(b[:n]) != "one two three" {
		t.Errorf("came: %q, %v", b[:n], err)
	}
}

func TestDeadlines(t *testing.T) {
	c, _ := pair(t)
	if err := c.SetDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	_, err := c.Read(make([]byte, 1))
	if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("a read over its deadline: %v", err)
	}
	if _, err := c.Write(make([]byte, 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a write over its deadline: %v", err)
	}
}

// What was written before the deadline is counted: who goes on knows where.
func TestWhatWasWrittenIsCounted(t *testing.T) {
	c, peer := pair(t)
	much := make([]byte, 64<<20)
	if err := c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	n, err := c.Write(much)
	if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 {
		t.Fatalf("%d bytes: %v", n, err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.Copy(io.Discard, peer); err != nil || got != int64(n) {
		t.Errorf("%d bytes came, %d were said to be written: %v", got, n, err)
	}
}

func TestEnds(t *testing.T) {
	c, _ := pair(t)
	waits := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		waits <- err
	}()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waits; !errors.Is(err, net.ErrClosed) {
		t.Errorf("a read of what is closed meanwhile: %v", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a write after Close: %v", err)
	}

	c, peer := pair(t)
	if n, err := c.Read(nil); n != 0 || err != nil {
		t.Errorf("a read of nothing: %d, %v", n, err)
	}
	if err := errors.Join(peer.(*net.TCPConn).SetLinger(0), peer.Close()); err != nil {
		t.Fatal(err)
	}
	_, err := c.Read(make([]byte, 1))
	var op *net.OpError
	if !errors.Is(err, syscall.ECONNRESET) || !errors.As(err, &op) || op.Op != "read" || op.Addr == nil {
		t.Errorf("a read after a reset: %v", err)
	}
	if _, err = c.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("a write after a reset: %v", err)
	}
}

// What is no TCP connection stays as it is.
func TestOthers(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if nowait.Wrap(a) != a {
		t.Error("a pipe was wrapped")
	}
}

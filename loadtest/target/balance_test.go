package cluster

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
)

// listening is a node that takes connections and keeps them.
func listening(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
		}
	}()
	return ln.Addr().String()
}

func TestBalancer(t *testing.T) {
	health := errors.New("nobody there")
	k := &backend{addr: listening(t), conns: make(map[net.Conn]struct{}), health: func(context.Context) error { return health }}
	b := &balancer{backends: []*backend{k}}
	check := func(err error) { health = err; k.check(t.Context()) }

	check(notReady("503"))
	if _, err := b.dial(t.Context(), "tcp", ""); err == nil {
		t.Error("a node that is not ready gets a connection")
	}
	check(nil)
	c, err := b.dial(t.Context(), "tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(c, make([]byte, 1))
		ended <- err
	}()
	for range 2 * maxFails {
		check(notReady("503"))
	}
	select {
	case err := <-ended:
		t.Fatalf("a node that says that it is not ready loses its connections: %v", err)
	default:
	}
	for range maxFails {
		check(errors.New("silence"))
	}
	if err := <-ended; err == nil {
		t.Error("the connection to a node that is gone goes on")
	}
}

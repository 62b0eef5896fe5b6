package target

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"trunkline/internal/service"
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
	health := make([]error, 2)
	nodes := make([]Node, 2)
	for i := range nodes {
		nodes[i] = Node{Addr: listening(t), Health: func(context.Context) error { return health[i] }}
	}
	b := NewBalancer(nodes, CheckEvery)
	check := func(first error) {
		health[0] = first
		for _, n := range b.nodes {
			n.check(t.Context())
		}
	}
	at := func() (c net.Conn, node string) {
		t.Helper()
		c, err := b.Dial(t.Context(), "tcp", "")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c, c.RemoteAddr().String()
	}

	check(service.NotReady("503"))
	for range 20 {
		if _, node := at(); node != nodes[1].Addr {
			t.Fatal("a node that is not ready gets a connection, and another one is ready")
		}
	}
	check(nil)
	var c net.Conn
	for node := ""; node != nodes[0].Addr; {
		c, node = at()
	}
	ended := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(c, make([]byte, 1))
		ended <- err
	}()
	for range 2 * maxFails {
		check(service.NotReady("503"))
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

// Where the node that is ready takes no connection another one is tried.
func TestBalancerGoesOn(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := Node{Addr: ln.Addr().String(), Health: func(context.Context) error { return nil }}
	ln.Close()
	late := Node{Addr: listening(t), Health: func(context.Context) error { return errors.New("silence") }}
	b := NewBalancer([]Node{gone, late}, CheckEvery)
	for _, n := range b.nodes {
		n.check(t.Context())
	}
	c, err := b.Dial(t.Context(), "tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

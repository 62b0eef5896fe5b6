package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"trunkline/internal/service"
	"trunkline/loadtest/clock"
)

// Balancer is a load balancer before nodes of one kind: TCP, to any that says that
// it is ready, as haproxy's `option httpchk GET /readyz`, and to another one where
// that takes none, as browsers do with a name that has several addresses. Of one
// that does not answer at all the connections are ended, as `on-marked-down
// shutdown-sessions` has it; one that says that it is not ready keeps them.
type Balancer struct {
	every time.Duration
	nodes []*node
}

// Node is one of a Balancer's.
type Node struct {
	Addr   string                      // host:port
	Health func(context.Context) error // a service.NotReady where it answers, and says no
}

// node is as the balancer sees it.
type node struct {
	Node

	mu    sync.Mutex
	ready bool
	fails int // checks in a row without an answer
	conns map[net.Conn]struct{}
}

// As haproxy's defaults have it a node has 2 s to answer, and one that fails three
// times in a row counts as gone.
const (
	// CheckEvery is haproxy's, between two looks at a node.
	CheckEvery   = 2 * time.Second
	checkTime    = 2 * time.Second
	maxFails     = 3
	dialPatience = time.Second
)

// NewBalancer looks at each node so often.
func NewBalancer(nodes []Node, every time.Duration) *Balancer {
	b := &Balancer{every: every}
	for _, n := range nodes {
		b.nodes = append(b.nodes, &node{Node: n, conns: make(map[net.Conn]struct{})})
	}
	return b
}

// Run looks at the nodes until ctx ends.
func (b *Balancer) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, n := range b.nodes {
		wg.Go(func() {
			n.check(ctx)
			for clock.Sleep(ctx, b.every) {
				n.check(ctx)
			}
		})
	}
}

func (n *node) check(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	err := n.Health(ctx)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ready = err == nil
	if said := service.NotReady(""); err == nil || errors.As(err, &said) {
		n.fails = 0
		return
	}
	if n.fails++; n.fails == maxFails {
		for c := range n.conns {
			c.Close()
		}
	}
}

func (n *node) isReady() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ready
}

// Dial is for a transport: a connection to a node, whatever the address says.
func (b *Balancer) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	var errs []error
	for _, n := range b.order() {
		d := net.Dialer{Timeout: dialPatience}
		c, err := d.DialContext(ctx, "tcp", n.Addr)
		if err == nil {
			return n.keep(c), nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("balancer: %w", errors.Join(errs...))
}

// order is the nodes, at random, those that are ready first.
func (b *Balancer) order() (out []*node) {
	var rest []*node
	for _, i := range rand.Perm(len(b.nodes)) {
		if n := b.nodes[i]; n.isReady() {
			out = append(out, n)
		} else {
			rest = append(rest, n)
		}
	}
	return append(out, rest...)
}

// kept is a connection that the balancer may end.
type kept struct {
	net.Conn
	of *node
}

func (n *node) keep(c net.Conn) net.Conn {
	out := &kept{c, n}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns[out] = struct{}{}
	return out
}

func (c *kept) Close() error {
	go c.forget() // check closes with the lock held
	return c.Conn.Close()
}

func (c *kept) forget() {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	delete(c.of.conns, c)
}

// Serve takes connections and hands them on until ctx ends.
func (b *Balancer) Serve(ctx context.Context, ln net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	for {
		c, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		wg.Go(func() { b.carry(ctx, c) })
	}
}

func (b *Balancer) carry(ctx context.Context, c net.Conn) {
	defer c.Close()
	to, err := b.Dial(ctx, "", "")
	if err != nil {
		return
	}
	defer to.Close()
	defer context.AfterFunc(ctx, func() { c.Close(); to.Close() })()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(to, c) // whoever ends first ends both
		to.Close()
	}()
	_, _ = io.Copy(c, to)
	c.Close()
	<-done
}

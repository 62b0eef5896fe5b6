package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"trunkline/loadtest/clock"
)

// balancer is a load balancer before nodes of one kind: TCP, to any that says
// that it is ready, as haproxy's `option httpchk GET /readyz`. Of one that does
// not answer at all the connections are ended, as `on-marked-down
// shutdown-sessions` has it; one that says that it is not ready keeps them.
type balancer struct {
	backends []*backend
}

// backend is a node as the balancer sees it.
type backend struct {
	addr   string
	health func(context.Context) error // a notReady where it answers, and says no

	mu    sync.Mutex
	ready bool
	fails int // checks in a row without an answer
	conns map[net.Conn]struct{}
}

// notReady is an answer that is not success.
type notReady string

func (s notReady) Error() string { return string(s) }

// As haproxy's defaults have it: a check every 2 s, and a node that does not
// answer three of them in time counts as gone.
const (
	checkEvery   = 2 * time.Second
	checkTime    = 2 * time.Second
	maxFails     = 3
	dialPatience = time.Second
)

// run looks at the nodes until ctx ends.
func (b *balancer) run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, k := range b.backends {
		wg.Go(func() {
			k.check(ctx)
			for clock.Sleep(ctx, checkEvery) {
				k.check(ctx)
			}
		})
	}
}

func (k *backend) check(ctx context.Context) {
	err := k.health(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ready = err == nil
	if said := notReady(""); err == nil || errors.As(err, &said) {
		k.fails = 0
		return
	}
	if k.fails++; k.fails == maxFails {
		for c := range k.conns {
			c.Close()
		}
	}
}

func (k *backend) isReady() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ready
}

// dial is a connection to a node, and to the next where that one takes none.
func (b *balancer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	err := errors.New("no node is ready")
	for _, i := range rand.Perm(len(b.backends)) {
		k := b.backends[i]
		if !k.isReady() {
			continue
		}
		d := net.Dialer{Timeout: dialPatience}
		var c net.Conn
		if c, err = d.DialContext(ctx, "tcp", k.addr); err == nil {
			return k.keep(c), nil
		}
	}
	return nil, fmt.Errorf("balancer: %w", err)
}

// kept is a connection that the balancer may end.
type kept struct {
	net.Conn
	of *backend
}

func (k *backend) keep(c net.Conn) net.Conn {
	out := &kept{c, k}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conns[out] = struct{}{}
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

// serve takes connections and hands them on until ctx ends.
func (b *balancer) serve(ctx context.Context, ln net.Listener) error {
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

func (b *balancer) carry(ctx context.Context, c net.Conn) {
	defer c.Close()
	to, err := b.dial(ctx, "", "")
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

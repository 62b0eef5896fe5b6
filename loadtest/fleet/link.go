package fleet

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"trunkline/internal/linkmodel"
	"trunkline/loadtest/scenario"
)

// link is what lies between one PBX and the world: its WAN, and whether it
// works just now.
type link struct {
	model *linkmodel.Link // nil: the generator's own network

	mu     sync.Mutex
	conns  map[*conn]struct{}
	silent chan struct{} // closed when the PBX speaks again; nil: it does
}

func newLink(l *scenario.Line, seed uint64) *link {
	k := &link{conns: make(map[*conn]struct{})}
	if l != nil {
		path := func(r scenario.Rate) linkmodel.Path {
			return linkmodel.Path{Rate: int(r), Delay: l.RTT / 2, Loss: l.Loss}
		}
		k.model = linkmodel.New(linkmodel.Config{Up: path(l.Up), Down: path(l.Down), Seed: seed})
	}
	return k
}

// carry is c over the link, which owns it from here on.
func (k *link) carry(c net.Conn) net.Conn {
	out := &conn{Conn: c, raw: c, link: k, closed: make(chan struct{})}
	if k.model != nil {
		out.Conn = k.model.Wrap(c)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conns[out] = struct{}{}
	return out
}

func (k *link) drop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for c := range k.conns {
		if t, ok := c.raw.(*net.TCPConn); ok {
			_ = t.SetLinger(0) // a reset, as from a NAT that forgot the connection
		}
		c.raw.Close()
	}
}

// strand breaks the connections at the PBX's end, as a router that forgot them:
// the other end hears nothing of it, and new ones work.
func (k *link) strand() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for c := range k.conns {
		c.stranded.Store(true)
		_ = c.Conn.SetReadDeadline(time.Now()) // who reads finds out
	}
}

func (k *link) silence(on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case on && k.silent == nil:
		k.silent = make(chan struct{})
	case !on && k.silent != nil:
		close(k.silent)
		k.silent = nil
	}
}

func (k *link) speaks() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.silent
}

// open waits until the PBX speaks, as a dial into a silent line does.
func (k *link) open(ctx context.Context) error {
	s := k.speaks()
	if s == nil {
		return nil
	}
	select {
	case <-s:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// conn is a connection to a relay. While its PBX is silent nothing is read and
// what is written goes nowhere.
type conn struct {
	net.Conn
	raw    net.Conn
	link   *link
	once   sync.Once
	closed chan struct{}
	// stranded has no other end that would hear of its end.
	stranded atomic.Bool

	mu   sync.Mutex
	lost bool // something was written into the silence: the stream has a hole
}

var errVanished = errors.New("the line was down, and the connection did not survive it")

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.stranded.Load() {
		return 0, errVanished
	}
	if s := c.link.speaks(); s != nil {
		// What came meanwhile never did. TCP would send it again, for as long as
		// it has patience.
		select {
		case <-s:
		case <-c.closed:
			return 0, net.ErrClosed
		case <-time.After(vanishedFor):
			return 0, errVanished
		}
	}
	return n, err
}

// vanishedFor is how long a connection over a silent line is read from before
// it counts as broken: TCP's own retransmissions end about then.
const vanishedFor = 15 * time.Minute

func (c *conn) Write(b []byte) (int, error) {
	if c.stranded.Load() {
		return 0, errVanished
	}
	silent := c.link.speaks() != nil
	c.mu.Lock()
	c.lost = c.lost || silent
	lost := c.lost
	c.mu.Unlock()
	switch {
	case silent:
		return len(b), nil
	case lost:
		return 0, errVanished
	}
	return c.Conn.Write(b)
}

// CloseWrite is what TLS's goodbye and a half-closed stream end with. A silent
// PBX says no goodbye.
func (c *conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok && c.link.speaks() == nil && !c.stranded.Load() {
		return w.CloseWrite()
	}
	return nil
}

func (c *conn) Close() error {
	var err error
	c.once.Do(func() {
		close(c.closed)
		c.link.mu.Lock()
		delete(c.link.conns, c)
		silent := c.link.silent
		c.link.mu.Unlock()
		if c.stranded.Load() {
			// Nobody tells the other end, which finds out by its own patience.
			time.AfterFunc(vanishedFor, func() { c.Conn.Close() })
			return
		}
		if silent == nil {
			err = c.Conn.Close()
			return
		}
		// A FIN does not pass either: the other side learns of it when the PBX
		// is back, or by its own patience.
		go func() {
			<-silent
			c.Conn.Close()
		}()
	})
	return err
}

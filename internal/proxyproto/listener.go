// Package proxyproto reads the header by which a load balancer that passes TCP
// on says whose connection it is: the PROXY protocol, versions 1 and 2
// (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt).
//
// It is believed from those who are trusted, and asked of them: a connection of
// theirs without it ends. Of everybody else's connections not a byte is
// touched, so that a header there is what any other garbage is.
//
// It reads no byte beyond the header and wraps no reader around the
// connection, which stays a socket that can be watched.
package proxyproto

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"trunkline/internal/nowait"
)

// headerTime is how long the header may take: the balancer sends it at once.
const headerTime = 5 * time.Second

// Listener gives connections whose remote address is the client's.
type Listener struct {
	net.Listener
	trusted atomic.Pointer[[]netip.Prefix]
}

// Listen wraps ln. Connections from trusted must begin with a header.
func Listen(ln net.Listener, trusted []netip.Prefix) *Listener {
	l := &Listener{Listener: ln}
	l.Trust(trusted)
	return l
}

// Trust changes who is trusted, for connections from now on.
func (l *Listener) Trust(trusted []netip.Prefix) { l.trusted.Store(&trusted) }

// Trusted is who is trusted now.
func (l *Listener) Trusted() []netip.Prefix { return *l.trusted.Load() }

// Accept does not wait for a header: whoever first uses the connection does.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	from, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return c, nil
	}
	a := from.AddrPort().Addr().Unmap()
	for _, p := range l.Trusted() {
		if p.Contains(a) {
			return &Conn{Conn: nowait.Wrap(c)}, nil
		}
	}
	return c, nil
}

// Conn is a connection that a trusted balancer has opened.
type Conn struct {
	net.Conn
	once   sync.Once
	err    error
	remote net.Addr
}

// Header reads the header, if nobody has yet; it must be called before any
// deadline is set, or not at all: Read and RemoteAddr do it too. It errs if
// there is none within five seconds; the connection is of no use then.
func (c *Conn) Header() error {
	c.once.Do(func() {
		c.remote = c.Conn.RemoteAddr()
		if c.err = c.SetReadDeadline(time.Now().Add(headerTime)); c.err != nil {
			return
		}
		from, err := Read(c.Conn)
		if err != nil {
			c.err = fmt.Errorf("from %s: %w", c.remote, err)
			return
		}
		if from.IsValid() {
			c.remote = net.TCPAddrFromAddrPort(from)
		}
		c.err = c.SetReadDeadline(time.Time{})
	})
	return c.err
}

// Read reads what comes after the header.
func (c *Conn) Read(b []byte) (int, error) {
	if err := c.Header(); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// RemoteAddr is the client's address; the balancer's if it passes nobody on.
func (c *Conn) RemoteAddr() net.Addr {
	_ = c.Header() // Read says so
	return c.remote
}

// NetConn is the connection below.
func (c *Conn) NetConn() net.Conn { return c.Conn }

var errNoSocket = errors.New("proxyproto: not over a socket")

// SyscallConn is the socket, for who waits for it. The header must have been read.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if s, ok := c.Conn.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return nil, errNoSocket
}

// CloseWrite ends our side of the connection.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errNoSocket
}

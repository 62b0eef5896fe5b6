package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/http2"

	"trunkline/internal/evtls"
	"trunkline/internal/id"
)

// ErrFull says that there are as many connections as Limits.Conns allows.
var ErrFull = errors.New("edge: too many connections")

// ServeTLS serves a browser whose handshake is done, until its connection is
// closed. It owns c. It errs with ErrFull only. The handshake has chosen the
// protocol: h2, or HTTP/1.1 for everything else.
func (e *Edge) ServeTLS(c *tls.Conn) error {
	if c.ConnectionState().NegotiatedProtocol == http2.NextProtoTLS {
		return e.h2.serveConn(c)
	}
	var l *lane
	if raw, ok := c.NetConn().(*evtls.Conn); ok {
		l = &lane{raw: raw, tls: c}
	}
	return e.serveConn(&conn{lane: l, Conn: lean(c), remote: addrOf(c), sni: sniOf(c.ConnectionState())})
}

// ServePlain serves a load balancer that terminates TLS, until ctx ends or ln
// fails; it closes ln and returns when its connections are closed.
//
// Only Options.TrustedProxies may connect; others' connections are closed. The
// browser's address is the last entry of X-Forwarded-For, which the balancer
// must set, and X-Forwarded-Proto must be https: a visit's cookie is not for
// plain HTTP. Requests that lack it are answered 421.
func (e *Edge) ServePlain(ctx context.Context, ln net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	defer ln.Close()
	for {
		c, err := ln.Accept()
		if err != nil {
			var ne net.Error
			switch {
			case ctx.Err() != nil:
				return nil
			case errors.As(err, &ne) && ne.Timeout():
				continue
			case errors.Is(err, net.ErrClosed):
				return fmt.Errorf("accept: %w", err)
			}
			// Out of descriptors, mostly: others' closing is what helps.
			e.log.Warn("accept failed", zap.Error(err))
			select {
			case <-time.After(50 * time.Millisecond):
				continue
			case <-ctx.Done():
				return nil
			}
		}
		remote := addrOf(c)
		if !e.trusts(remote) {
			e.m.refused.untrusted.Inc()
			_ = c.Close()
			continue
		}
		raw := evtls.NewConn(e.o.Poller, c)
		wg.Go(func() { _ = e.serveConn(&conn{lane: &lane{raw: raw}, Conn: raw, remote: remote, plain: true}) })
	}
}

func (e *Edge) trusts(a netip.Addr) bool {
	for _, p := range e.live.Load().trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func addrOf(c net.Conn) netip.Addr {
	ap, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

func (e *Edge) serveConn(c *conn) error {
	done := make(chan struct{})
	c.limit = e.o.Limits.Progress
	c.closing = func(c *conn) {
		e.leave(c)
		close(done)
	}
	if !e.join(c) {
		e.m.refused.full.Inc()
		_ = c.Conn.Close()
		return ErrFull
	}
	driven := c.drive(e)
	for {
		if driven && !c.wait(done) {
			return nil
		}
		// Every request has had its event, the malformed one too; fasthttp's errors
		// quote its head, cookies and all.
		_ = e.server.ServeConn(c)
		if !driven || !c.comesBack() {
			<-done // fasthttp returns early from a connection it has handed over
			return nil
		}
	}
}

func (e *Edge) join(c *conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.conns) >= e.live.Load().conns {
		return false
	}
	e.conns[c] = struct{}{}
	e.m.conns.Inc()
	return true
}

func (e *Edge) leave(c *conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.conns, c)
	e.m.conns.Dec()
	if len(e.conns) == 0 && e.empty != nil {
		close(e.empty)
		e.empty = nil
	}
}

// Forget closes the streams kept for a device's next request.
func (e *Edge) Forget(device id.Device) { e.pool.forget(device) }

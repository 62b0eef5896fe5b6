package agent

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"trunkline/agent/login"
	"trunkline/internal/fault"
	"trunkline/internal/tunnel"
)

// maxSignIns at a time: a PBX is slow at them, and locks accounts.
const maxSignIns = 4

// signIn is how visitors are signed in at the portal, if at all.
type signIn struct {
	barred string        // why nobody is; "" if there is a way
	proxy  *login.Proxy  // by a trusted header; it reads every stream
	signer *login.Signer // by the portal's form
	slots  chan struct{}
}

func newSignIn(c login.Config, p *portal) *signIn {
	s := &signIn{slots: make(chan struct{}, maxSignIns)}
	switch c.Adapter {
	case login.Header:
		s.proxy = login.NewProxy(c.Header)
	case login.Form:
		var err error
		if s.signer, err = login.NewSigner(c.Form, p.origin.String(), p.dial); err != nil {
			s.barred = "Visitors cannot be signed in: portal.login.form." + err.Error() + "."
		}
	default:
		s.barred = "This agent has no way to sign visitors in: portal.login in its configuration names none."
	}
	return s
}

// do signs h's visitor in.
func (s *signIn) do(ctx context.Context, h tunnel.Header) (tunnel.Login, error) {
	if h.Method != methodPasswordless || h.Visit == "" || h.Who == "" {
		return tunnel.Login{}, fault.New(fault.Protocol, "A sign-in needs a passwordless visit, and whose it is.")
	}
	if s.proxy != nil {
		return tunnel.Login{Location: s.proxy.Start()}, nil
	}
	select {
	case s.slots <- struct{}{}:
	default:
		return tunnel.Login{}, fault.New(fault.TooMany, "%d sign-ins are under way at the PBX already.", maxSignIns)
	}
	defer func() { <-s.slots }()
	return s.signer.SignIn(ctx, h.Who)
}

// serveSignIn answers a stream of the service login. It owns c.
func (a *Agent) serveSignIn(ctx context.Context, s *signIn, h tunnel.Header, c net.Conn) {
	began := time.Now()
	defer c.Close()
	l, err := s.do(ctx, h)
	log := a.log.With(zap.String("visit", string(h.Visit)), zap.String("who", Printable(h.Who)), zap.Int64("dur_ms", time.Since(began).Milliseconds()))
	if err == nil {
		err = l.Valid()
	}
	if err != nil {
		log.Warn("visitor not signed in", zap.String("code", string(fault.CodeOf(err))), zap.Error(err))
		var f *fault.Error
		if !errors.As(err, &f) {
			f = fault.New(fault.LoginFailed, "The PBX's portal gave what cannot be passed on: %v.", err)
		}
		_ = tunnel.RefuseStream(c, f) // the stream is over either way
		return
	}
	log.Info("visitor signed in")
	if err := tunnel.AcceptStream(c); err != nil {
		return
	}
	_, _ = l.WriteTo(c) // who asked is gone if this fails
}

// counted counts what passes on a stream.
type counted struct {
	net.Conn
	in, out atomic.Int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in.Add(int64(n))
	return n, err
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.out.Add(int64(n))
	return n, err
}

package tunnel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"trunkline/internal/fault"
)

// Accept takes an agent's connection through the hello and returns its tunnel,
// of which Run is still to be called. admit decides on the hello; exporter is
// what its proof must be made over (see VerifyProof). What admit returns, or
// what is wrong with the hello, is told to the agent before the connection is
// closed; an error that is no fault is told as an internal one.
//
// Accept owns c. It takes Config.HelloTimeout at most, and two seconds more
// for a refusal.
func Accept(ctx context.Context, c *tls.Conn, cfg Config, admit func(h Hello, exporter []byte) (Welcome, error)) (*Relay, error) {
	cfg = cfg.withDefaults()
	w, err := serveHello(ctx, c, cfg, admit)
	if err != nil {
		refuse(ctx, c, err)
		return nil, err
	}
	r := &Relay{session: newSession(c, cfg, nil), welcome: w}
	if r.ctl, err = r.mux.Open(nil); err != nil {
		return nil, err
	}
	r.ctl.SetUrgent()
	r.ctl.Announce()
	return r, nil
}

// serveHello does everything before the multiplexer. Its errors are faults.
func serveHello(ctx context.Context, c *tls.Conn, cfg Config, admit func(Hello, []byte) (Welcome, error)) (Welcome, error) {
	_ = c.SetDeadline(time.Now().Add(cfg.HelloTimeout))
	// A cancelled ctx ends a read or a write by its deadline, not by closing
	// what the refusal still needs.
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(past) })()
	if err := c.HandshakeContext(ctx); err != nil {
		return Welcome{}, helloError("TLS handshake", err)
	}
	binding, err := exporter(c.ConnectionState())
	if err != nil {
		return Welcome{}, asFault(err)
	}
	b, err := readBlock(c, helloMax)
	if err != nil {
		return Welcome{}, helloError("hello", err)
	}
	h, err := parseHello(b)
	if err != nil {
		return Welcome{}, err
	}
	w, err := admit(h, binding)
	if err != nil {
		return Welcome{}, err
	}
	if w.Ping <= 0 {
		w.Ping = cfg.Ping
	}
	w.Ping = min(max(w.Ping, time.Millisecond), pingMax)
	b, err = w.encode()
	if err != nil {
		return Welcome{}, fmt.Errorf("welcome: %w", err)
	}
	if _, err := c.Write(b); err != nil {
		return Welcome{}, helloError("welcome", err)
	}
	return w, c.SetDeadline(time.Time{})
}

func helloError(what string, err error) *fault.Error {
	switch {
	case errors.Is(err, errTooLong):
		return fault.New(fault.Protocol, "The %s is %v.", what, err)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return fault.New(fault.HelloTimeout, "The %s took too long.", what)
	case what == "TLS handshake" && !errors.Is(err, io.EOF) && !errors.As(err, new(*net.OpError)):
		return fault.New(fault.Protocol, "The TLS handshake failed: %v.", err)
	}
	return fault.New(fault.ConnectionLost, "The connection broke during the %s.", what)
}

// refuse tells the agent why and closes c so that it can read it: closing a
// socket with unread bytes resets it, and a reset may overtake the refusal.
// So it ends its own side, and reads the agent's to the end, for a while.
func refuse(ctx context.Context, c *tls.Conn, cause error) {
	defer c.NetConn().Close()
	if !c.ConnectionState().HandshakeComplete {
		return
	}
	_ = c.SetDeadline(time.Now().Add(refuseLinger))
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now().Add(refuseLinger / 10)) })()
	b, err := encodeRefusal(asFault(cause))
	if err != nil {
		return
	}
	if _, err := c.Write(b); err != nil {
		return
	}
	closeWrite(c)
	_, _ = io.CopyN(io.Discard, c, 64<<10)
}

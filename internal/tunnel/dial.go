package tunnel

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"trunkline/internal/fault"
)

// Dial says hello on a connection to a relay and returns the tunnel, of which
// Run is still to be called. A refusal by the relay is its *fault.Error, with
// a hint when to come again; other errors are about the connection.
//
// Dial owns c. It takes Config.HelloTimeout at most for the hello, and as much
// again for the multiplexer's start.
func Dial(ctx context.Context, c *tls.Conn, cfg Config, pass string, key ed25519.PrivateKey, info AgentInfo) (*Agent, error) {
	return dial(ctx, c, cfg, Hello{Pass: pass, Agent: info}, key)
}

// DialSecond is Dial for a device whose first tunnel is elsewhere. Whether the relay
// knows of second tunnels its Welcome says; the first status says so too.
func DialSecond(ctx context.Context, c *tls.Conn, cfg Config, pass string, key ed25519.PrivateKey, info AgentInfo) (*Agent, error) {
	return dial(ctx, c, cfg, Hello{Pass: pass, Agent: info, Second: true}, key)
}

func dial(ctx context.Context, c *tls.Conn, cfg Config, h Hello, key ed25519.PrivateKey) (*Agent, error) {
	w, err := sayHello(ctx, c, cfg.withDefaults().HelloTimeout, h, key)
	if err != nil {
		c.NetConn().Close()
		return nil, err
	}
	cfg.Ping = w.Ping
	cfg = cfg.withDefaults()
	a := &Agent{welcome: w, cfg: cfg, idle: make(chan struct{}, 1)}
	a.session = newSession(c, cfg, a.arrive)
	err = bounded(ctx, c.NetConn(), cfg.HelloTimeout, func() error {
		for a.ctl == nil && !a.ended {
			a.take(a.wire.Read(a.reader.Room()))
		}
		return nil
	})
	if err != nil || a.ctl == nil {
		a.reader.Release()
		a.mux.Fail(nil)
		c.NetConn().Close()
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("wait for the control stream: %w", err)
	}
	return a, nil
}

func sayHello(ctx context.Context, c *tls.Conn, timeout time.Duration, h Hello, key ed25519.PrivateKey) (Welcome, error) {
	_ = c.SetDeadline(time.Now().Add(timeout))
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(past) })()
	if err := c.HandshakeContext(ctx); err != nil {
		return Welcome{}, fmt.Errorf("tls handshake with the relay: %w", err)
	}
	binding, err := exporter(c.ConnectionState())
	if err != nil {
		return Welcome{}, err
	}
	h.Proof = Proof(key, binding, h.Pass)
	b, err := h.encode()
	if err != nil {
		return Welcome{}, fmt.Errorf("hello: %w", err)
	}
	if _, err := c.Write(b); err != nil {
		return Welcome{}, fmt.Errorf("send hello: %w", err)
	}
	b, err = readBlock(c, helloMax)
	if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
		return Welcome{}, fault.New(fault.HelloTimeout, "The relay did not answer the hello in time.")
	}
	if err != nil {
		return Welcome{}, fmt.Errorf("read the relay's answer: %w", errors.Join(ctx.Err(), err))
	}
	w, refusal, err := parseAnswer(b)
	if err != nil {
		return Welcome{}, fault.New(fault.Protocol, "The relay's answer: %v.", err)
	}
	if refusal != nil {
		return Welcome{}, refusal
	}
	return w, c.SetDeadline(time.Time{})
}

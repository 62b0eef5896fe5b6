package bus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
)

const (
	dialTimeout = 3 * time.Second
	maxBackoff  = 2 * time.Second
	// A server that answers no ping is given up after twice to three times askEvery, as
	// one whose machine is lost: about when a lease that it keeps a relay from renewing
	// has been missed long enough for control to notice.
	askEvery = 3 * time.Second
)

// clientOptions are what the in-process client and a dialled one share.
func (b *Bus) clientOptions() []nats.Option {
	return []nats.Option{
		nats.Name("trunkline"),
		nats.Timeout(dialTimeout),
		nats.RetryOnFailedConnect(true),
		nats.IgnoreAuthErrorAbort(), // a password that is being changed must not end a relay
		nats.MaxReconnects(-1),
		nats.CustomReconnectDelay(backoff),
		// Without a buffer a write fails while the server is away, rather
		// than arrive later, when it may be wrong.
		nats.ReconnectBufSize(-1),
		nats.PingInterval(askEvery),
		nats.MaxPingsOutstanding(2),
		nats.ConnectHandler(func(nc *nats.Conn) { b.connected(nc) }),
		nats.ReconnectHandler(func(nc *nats.Conn) { b.connected(nc) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			b.setDown()
			if err != nil { // nil: we closed it
				b.metrics.losses.Inc()
				b.log.Warn("bus connection lost", zap.Error(err))
			}
		}),
		nats.ReconnectErrHandler(b.notConnected()),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrSlowConsumer) {
				// A watcher reads the bucket where messages were dropped.
				b.log.Debug("bus subscriber is slow", zap.String("subject", sub.Subject))
				return
			}
			b.log.Warn("bus error", zap.Error(err))
		}),
	}
}

// notConnected logs why no server takes us, once per reason: each is tried every
// few seconds for as long as it takes.
func (b *Bus) notConnected() nats.ConnErrHandler {
	told := make(map[string]bool) // the client calls handlers one at a time
	return func(_ *nats.Conn, err error) {
		if err != nil && !told[err.Error()] && len(told) < maxReasons {
			told[err.Error()] = true
			b.log.Warn("bus cannot be reached; trying on", zap.Error(err))
		}
	}
}

// maxReasons bounds them: a few for each server.
const maxReasons = 100

func (b *Bus) connected(nc *nats.Conn) {
	b.setUp()
	if b.server == nil {
		b.log.Info("bus connected", zap.String("server", nc.ConnectedAddr()))
	}
}

func (b *Bus) externalOptions(c Config) ([]nats.Option, error) {
	opts, err := c.clientTLS(b.metrics.renewals, b.log)
	if err != nil {
		return nil, err
	}
	opts = append(opts, nats.SetCustomDialer(dialer{}), nats.SkipHostLookup())
	switch {
	case c.CredsFile != "":
		creds, err := readSecret(c.CredsFile)
		if err != nil {
			return nil, fmt.Errorf("bus: creds_file: %w", err)
		}
		opts = append(opts, nats.UserCredentialBytes([]byte(creds)))
	case c.User != "":
		password, err := readSecret(c.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("bus: password_file: %w", err)
		}
		opts = append(opts, nats.UserInfo(c.User, password))
	}
	return opts, nil
}

// dialer takes localhost and the names below it for this machine, as RFC 6761,
// section 6.3 wants it and Go's resolver does not do it.
type dialer struct{}

func (dialer) Dial(network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if h := strings.ToLower(strings.TrimSuffix(host, ".")); h == "localhost" || strings.HasSuffix(h, ".localhost") {
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	d := net.Dialer{Timeout: dialTimeout}
	return d.Dial(network, addr)
}

// backoff is full jitter below an exponential that ends at maxBackoff. It is
// never 0: the first failure may be everybody's.
func backoff(attempt int) time.Duration {
	top := min(100*time.Millisecond<<min(max(attempt, 0), 10), maxBackoff)
	return 10*time.Millisecond + rand.N(top)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

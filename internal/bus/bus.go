// Package bus joins the planes: typed key-value buckets that every relay
// watches, and request/reply. It runs on NATS, embedded in the process or
// dialled, and is the only package that knows NATS.
//
// It is no store. Buckets live in the server's memory and may come back empty;
// a watcher is told by a Reset with a new epoch, and whoever owns the records
// (control, or a relay for its routes) puts them again.
//
// Control opens the embedded server and owns it: Close ends it. A relay that
// dials an embedded server is confined to an account of its own (accounts.go).
package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

const (
	// requestTimeout bounds one request to the server where the caller's
	// context does not.
	requestTimeout = 5 * time.Second
	// checkEvery is how often a watcher compares what it has with the bucket.
	// It is also how late the end of a lease can be noticed.
	checkEvery = 2 * time.Second
)

// Bus is a connection to NATS, and the server if it is embedded. Safe for
// concurrent use.
type Bus struct {
	log    *zap.Logger
	nc     *nats.Conn
	js     jetstream.JetStream
	server *embedded // nil if dialled

	metrics *metrics

	leaseTTL      time.Duration
	checkEvery    time.Duration
	pageTime      time.Duration // for one page of what a bucket holds
	leaderlessFor time.Duration

	whole sync.Map // bucket -> time.Time, when a watch last had all of it
	leads sync.Map // bucket -> lead

	mu     sync.Mutex
	isUp   bool
	closed bool
	up     chan struct{} // closed while connected, and for good once closed
	down   chan struct{} // closed when the present connection is lost
}

// Open starts the embedded server, or begins to dial the external one and goes
// on for ever: that one need not be there yet. An error is one of
// configuration, or an embedded server that cannot start.
func Open(ctx context.Context, c Config, log *zap.Logger) (*Bus, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b := &Bus{
		log: log.With(zap.String("part", "bus")), metrics: newMetrics(),
		leaseTTL: LeaseTTL, checkEvery: checkEvery, pageTime: requestTimeout, leaderlessFor: leaderlessFor,
		up: make(chan struct{}), down: make(chan struct{}),
	}
	opts := b.clientOptions()
	if c.URL == "" {
		srv, err := startServer(c, b.metrics.renewals, b.log)
		if err != nil {
			return nil, err
		}
		b.server = srv
		opts = append(opts, nats.InProcessServer(srv.server), nats.UserInfo(ownUser, srv.password))
	} else {
		ext, err := b.externalOptions(c)
		if err != nil {
			return nil, err
		}
		opts = append(opts, ext...)
	}
	if err := b.connect(c.URL, opts); err != nil {
		if b.server != nil {
			err = errors.Join(err, b.server.stop())
		}
		return nil, err
	}
	return b, nil
}

func (b *Bus) connect(url string, opts []nats.Option) (err error) {
	if b.nc, err = nats.Connect(url, opts...); err != nil {
		return fmt.Errorf("bus: connect: %w", err)
	}
	if b.js, err = jetstream.New(b.nc, jetstream.WithDefaultTimeout(requestTimeout)); err != nil {
		b.nc.Close()
		return fmt.Errorf("bus: %w", err)
	}
	return nil
}

// Close ends the connection, what waits on it, and the embedded server.
func (b *Bus) Close() error {
	b.nc.Close()
	b.setClosed()
	if b.server != nil {
		return b.server.stop()
	}
	return nil
}

// Connected reports whether requests have a chance now.
func (b *Bus) Connected() bool { return b.nc.IsConnected() }

// Whole is when a watch of the bucket last had all that was in it, zero if none
// has had. While the server answers, that is 4 s ago at most.
func (b *Bus) Whole(bucket string) time.Time {
	t, _ := b.whole.Load(bucket)
	at, _ := t.(time.Time)
	return at
}

// Addr is where relays dial the embedded server, "" if they cannot.
func (b *Bus) Addr() string {
	if b.server == nil {
		return ""
	}
	return b.server.addr()
}

// awaitLink waits for a connection and returns a channel that is closed when
// this very connection is lost. The error is ErrClosed or ctx's.
func (b *Bus) awaitLink(ctx context.Context) (<-chan struct{}, error) {
	for {
		b.mu.Lock()
		isUp, closed, up, down := b.isUp, b.closed, b.up, b.down
		b.mu.Unlock()
		switch {
		case closed:
			return nil, ErrClosed
		case isUp:
			return down, nil
		}
		select {
		case <-up:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (b *Bus) setUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.isUp || b.closed {
		return
	}
	b.isUp = true
	close(b.up)
}

func (b *Bus) setDown() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.isUp || b.closed {
		return
	}
	b.isUp = false
	close(b.down)
	b.up, b.down = make(chan struct{}), make(chan struct{})
}

func (b *Bus) isClosed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

func (b *Bus) setClosed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.closed = true
	close(b.down)
	if !b.isUp {
		close(b.up)
	}
}

package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/mux"
)

// link is one connection to another relay. Either side opens streams on it.
type link struct {
	peers *Peers
	relay id.Relay // at the other end
	conn  *tls.Conn
	raw   corker
	mux   *mux.Session
	ctx   context.Context //nolint:containedctx // of the streams it serves: they end with it
	stop  context.CancelFunc

	opened atomic.Int64   // streams, by us, that are not closed yet
	served sync.WaitGroup // goroutines of the other side's

	mu     sync.Mutex
	users  map[id.Device]int // how many of those streams go to each device
	heard  atomic.Bool       // something came since the last ping
	ending atomic.Bool
}

// corker is the connection below TLS.
type corker interface {
	net.Conn
	Cork()
	Uncork() error
}

var errLost = fault.New(fault.RelayLost, "The connection to the relay that holds the PBX's was lost.").After(2 * time.Second)

func newLink(ctx context.Context, p *Peers, r id.Relay, c *tls.Conn, dialled bool) *link {
	l := &link{peers: p, relay: r, conn: c, raw: c.NetConn().(corker), users: make(map[id.Device]int)}
	l.ctx, l.stop = context.WithCancel(ctx)
	l.mux = mux.New(mux.Config{
		Client: dialled, BothWays: true, Write: l.write, Window: window, Budget: p.windows, MaxStreams: maxStreams, Lost: errLost, Addrs: c,
		Accept: func(s *mux.Stream) { l.served.Go(func() { l.serve(s) }) },
	})
	return l
}

// run holds the link until its connection breaks, the other side falls silent or
// ctx ends.
func (l *link) run() error {
	defer l.stop()
	watch := l.keepAlive()
	defer context.AfterFunc(l.ctx, func() { _ = l.raw.Close() })()
	err := l.read()
	l.ending.Store(true)
	watch()
	l.mux.Fail(nil)
	_ = l.raw.Close()
	l.stop()
	l.served.Wait()
	return err
}

func (l *link) read() error {
	var r mux.Reader
	defer r.Release()
	for {
		n, err := l.conn.Read(r.Room())
		if n > 0 {
			l.heard.Store(true)
			l.peers.metrics.received.Add(float64(n))
			if breach := r.Took(l.mux, n); breach != nil {
				return breach
			}
		}
		if err != nil {
			return err
		}
	}
}

// write is the session's. What fails is found out by read.
func (l *link) write(b []byte) error {
	l.raw.Cork()
	_, err := l.conn.Write(b)
	err = errors.Join(err, l.raw.Uncork())
	l.peers.metrics.sent.Add(float64(len(b)))
	if err != nil {
		_ = l.raw.Close()
	}
	return err
}

// keepAlive pings, and closes the connection when nothing comes back.
func (l *link) keepAlive() (stop func()) {
	var mu sync.Mutex
	var timer *time.Timer
	stopped, silent := false, 0
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(pingEvery, func() {
		mu.Lock()
		defer mu.Unlock()
		if stopped {
			return
		}
		if silent++; l.heard.Swap(false) {
			silent = 0
		}
		if silent >= silentFor {
			l.peers.o.Log.Warn("a relay does not answer", zap.String("peer", string(l.relay)), zap.Duration("silent", silentFor*pingEvery))
			_ = l.raw.Close()
			return
		}
		l.mux.Ping()
		timer.Reset(pingEvery)
	})
	l.mux.Ping()
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		timer.Stop()
	}
}

// open makes a stream and waits until the other relay has it or refuses it, or ctx
// ends: nothing of a request has been said by then, so that it can be tried
// elsewhere.
func (l *link) open(ctx context.Context, q Request) (*Stream, error) {
	b, err := q.header(l.peers.o.Relay).encode()
	if err != nil {
		return nil, err
	}
	m, err := l.mux.Open(ctx.Done())
	if err != nil {
		return nil, errors.Join(errLost, err)
	}
	l.opened.Add(1)
	m.OnClose(func() { l.opened.Add(-1) })
	stay := context.AfterFunc(ctx, func() { _ = m.SetDeadline(time.Now()) })
	if _, err = m.Write(b); err == nil {
		err = readReply(m)
	}
	if !stay() { // it has a deadline that has passed, or will have
		err = errors.Join(err, ctx.Err())
	}
	if err == nil {
		return &Stream{Stream: m, link: l, device: q.Device}, nil
	}
	_ = m.Close()
	var f *fault.Error
	if !errors.As(err, &f) {
		err = errors.Join(errLost, err)
	}
	return nil, err
}

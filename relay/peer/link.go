package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"sync"
	"sync/atomic"

	"trunkline/internal/evtls"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/mux"
)

// link is one connection to another relay. Either side opens streams on it. An
// event loop reads it.
type link struct {
	peers *Peers
	relay id.Relay // at the other end
	conn  *tls.Conn
	raw   *evtls.Conn
	mux   *mux.Session
	over  chan error      // why there is no more to be read; room for one
	ended bool            // by the loop: that was said
	ctx   context.Context //nolint:containedctx // of the streams it serves: they end with it
	stop  context.CancelFunc

	opened  atomic.Int64   // streams, by us, that are not closed yet
	served  sync.WaitGroup // of the other side's streams
	watched atomic.Bool    // it is written to without waiting where that is wished
	heard   atomic.Bool    // something came since the last ping
	doubted atomic.Bool    // the last pings brought nothing
	ending  atomic.Bool
	closing chan struct{} // closed when the other relay is about to end what it serves
	close   sync.Once

	mu      sync.Mutex           // guards what follows
	users   map[id.Device]int    // how many of the other side's streams go to each device
	streams map[*Stream]struct{} // ours
}

var errLost = fault.New(fault.RelayLost, "The connection to the relay that holds the PBX's was lost.").After(retryLost)

func newLink(ctx context.Context, p *Peers, r id.Relay, c *tls.Conn, dialled bool) *link {
	l := &link{
		peers: p, relay: r, conn: c, raw: c.NetConn().(*evtls.Conn), over: make(chan error, 1), closing: make(chan struct{}),
		users: make(map[id.Device]int), streams: make(map[*Stream]struct{}),
	}
	l.ctx, l.stop = context.WithCancel(ctx)
	l.mux = mux.New(mux.Config{
		Client: dialled, BothWays: true, Write: l.write, TryWrite: l.tryWrite, Settle: l.settle,
		Window: window, Budget: p.windows, MaxStreams: maxStreams, Lost: errLost, Addrs: c,
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
	err := l.raw.Watch(l.conn, l.ready)
	if err == nil {
		l.watched.Store(l.raw.Pollable())
		err = <-l.over
	}
	l.ending.Store(true)
	watch()
	l.mux.Fail(nil)
	_ = l.raw.Close()
	l.stop()
	l.served.Wait()
	return err
}

func newRoom() evtls.Room { return mux.NewRoom() }

// turns is how often a link that has much to read is read before others have
// their turn.
const turns = 4

// ready reads what is there.
func (l *link) ready() (again bool) {
	for range turns {
		if l.ended {
			return false
		}
		room, parts, err := l.raw.TryTake(newRoom)
		if evtls.WouldBlock(err) {
			return false
		}
		if len(parts) > 0 {
			l.heard.Store(true)
			l.doubted.Store(false)
			for _, b := range parts {
				l.peers.metrics.received.Add(float64(len(b)))
			}
			err = l.mux.Receive(room.(*mux.Segment), parts...)
		}
		if err != nil {
			l.ended = true
			l.raw.Leave()
			l.over <- err
			return false
		}
	}
	return true
}

// write is the session's. What fails is found out by who reads.
func (l *link) write(b []byte) error {
	l.raw.Cork()
	_, err := l.conn.Write(b)
	return l.wrote(len(b), errors.Join(err, l.raw.Uncork()))
}

// tryWrite is write that does not wait.
func (l *link) tryWrite(b []byte) (done bool, err error) {
	if !l.watched.Load() {
		return true, l.write(b)
	}
	done, err = l.raw.TryWrite(b)
	return done, l.wrote(len(b), err)
}

// settle waits for what tryWrite has left.
func (l *link) settle() error { return l.wrote(0, l.raw.Uncork()) }

func (l *link) wrote(n int, err error) error {
	l.peers.metrics.sent.Add(float64(n))
	if err != nil {
		_ = l.raw.Close()
	}
	return err
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
	s := &Stream{Stream: m, link: l, device: q.Device}
	s.repeatable.Store(true)
	l.add(s)
	m.OnClose(func() { l.remove(s) })
	stay := context.AfterFunc(ctx, func() { _ = m.SetDeadline(past) })
	if _, err = m.Write(b); err == nil {
		err = readReply(m)
	}
	if !stay() { // it has a deadline that has passed, or will have
		err = errors.Join(err, ctx.Err())
	}
	if err == nil {
		s.repeatable.Store(false)
		return s, nil
	}
	_ = m.Close()
	var f *fault.Error
	if !errors.As(err, &f) {
		err = errors.Join(errLost, err)
	}
	return nil, err
}

func (l *link) add(s *Stream) {
	l.opened.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams[s] = struct{}{}
}

func (l *link) remove(s *Stream) {
	l.opened.Add(-1)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.streams, s)
}

package tunnel

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/yamux"
	"golang.org/x/time/rate"

	"trunkline/internal/fault"
)

// session is what both ends of a tunnel have in common: the multiplexer on its
// wire, the control stream, pings, and one way to end.
type session struct {
	cfg     Config
	accepts bool // streams: the agent does, the relay does not
	wire    *wire
	mux     *yamux.Session
	ctl     *conn
	outbox  chan []byte   // to the control stream; run is its only reader
	flood   *rate.Limiter // of what the peer may send beside streams' data

	ending  chan struct{} // closed by end
	cause   *fault.Error  // why; set before ending is closed
	say     bool          // tell the peer
	endOnce sync.Once
	leaving atomic.Pointer[fault.Error] // the peer's goodbye

	mu      sync.Mutex
	streams map[uint32]*conn // those that we have not closed
	done    bool             // spawn no more
	fins    sync.RWMutex     // held for reading by every FIN on its way
	wg      sync.WaitGroup
}

func newSession(c *tls.Conn, cfg Config, accepts bool) *session {
	t := &session{
		cfg:     cfg,
		accepts: accepts,
		wire:    newWire(c),
		outbox:  make(chan []byte, outboxLen),
		// Statuses and passes are rare; the rest is twice what pings cost.
		flood:   rate.NewLimiter(5+4*rate.Every(cfg.Ping), 60),
		ending:  make(chan struct{}),
		streams: make(map[uint32]*conn),
	}
	t.wire.inbound, t.wire.outbound = t.inbound, t.outbound
	return t
}

// start begins multiplexing.
func (t *session) start(mux func(*wire, *yamux.Config) (*yamux.Session, error)) error {
	tuneSocket(t.wire.raw, t.cfg.Silence)
	var err error
	t.mux, err = mux(t.wire, t.cfg.yamux())
	return err
}

// end makes the tunnel stop for cause, which the peer is told if say. The
// first cause stands. It never blocks: whoever calls it may hold up others,
// and the socket may be stuck.
func (t *session) end(cause *fault.Error, say bool) {
	t.endOnce.Do(func() {
		t.cause, t.say = cause, say
		close(t.ending)
		_ = t.wire.raw.SetWriteDeadline(time.Now().Add(linger))
		time.AfterFunc(linger, func() { _ = t.wire.Close() })
	})
}

func (t *session) isEnding() bool {
	select {
	case <-t.ending:
		return true
	case <-t.mux.CloseChan():
		return true
	default:
		return false
	}
}

// run holds the tunnel until it ended, for whatever reason, and waits for all
// its goroutines. handle gets the peer's messages, one at a time.
func (t *session) run(handle func(message)) *fault.Error {
	var reader sync.WaitGroup
	reader.Go(func() { t.readControl(handle) })
	stopPing := t.every(func() time.Duration { return t.cfg.Ping*3/4 + rand.N(t.cfg.Ping/2+1) }, func() {
		_ = t.post(message{Type: typePing}) // if it finds no room, enough is waiting to be sent
	})
	stopWatch := t.every(func() time.Duration { return max(t.cfg.Silence-t.wire.silence(), time.Millisecond) }, func() {
		if t.wire.silence() >= t.cfg.Silence {
			t.end(fault.New(fault.PeerSilent, "Nothing was heard from the other end for %v.", t.cfg.Silence), true)
		}
	})

	t.writeControl()
	stopPing()
	stopWatch()
	_ = t.mux.Close() // waits for the multiplexer's goroutines
	reader.Wait()     // it may yet find a goodbye
	t.mu.Lock()
	t.done = true
	t.mu.Unlock()
	t.wg.Wait()
	return t.reason()
}

// every calls f after each wait, until stopped. It costs a timer instead of a
// goroutine. f must not block.
func (t *session) every(wait func() time.Duration, f func()) (stop func()) {
	var mu sync.Mutex
	stopped := false
	var timer *time.Timer
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(wait(), func() {
		mu.Lock()
		defer mu.Unlock()
		if !stopped {
			f()
			timer.Reset(wait())
		}
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		timer.Stop()
	}
}

// reason is why the tunnel ended, when it has.
func (t *session) reason() *fault.Error {
	t.end(t.lost(), false) // stands only if nobody knew better
	return t.cause
}

// lost is the reason when the connection went: what the peer said before, a
// breach of the multiplexer's protocol, or just that.
func (t *session) lost() *fault.Error {
	if f := t.leaving.Load(); f != nil {
		return f
	}
	for _, breach := range []error{yamux.ErrInvalidVersion, yamux.ErrInvalidMsgType, yamux.ErrRecvWindowExceeded, yamux.ErrUnexpectedFlag, yamux.ErrDuplicateStream} {
		if errors.Is(t.muxError(), breach) {
			return fault.New(fault.Protocol, "The multiplexer: %v.", breach)
		}
	}
	return fault.New(fault.ConnectionLost, "The connection broke.")
}

// muxError is why the multiplexer stopped; only Accept tells.
func (t *session) muxError() error {
	if !t.mux.IsClosed() {
		return nil
	}
	for {
		if _, err := t.mux.AcceptStream(); err != nil {
			return err
		}
	}
}

// bounded runs f, whose waits end when the connection is closed, and closes it
// if f takes longer than d or ctx ends.
func bounded(ctx context.Context, c net.Conn, d time.Duration, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	err := f()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	return err
}

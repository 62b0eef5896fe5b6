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

	"golang.org/x/time/rate"

	"trunkline/internal/fault"
	"trunkline/internal/mux"
)

// past is a deadline that has gone by, to wake whoever waits.
var past = time.Unix(1, 0)

// session is what both ends of a tunnel have in common: the multiplexer on its
// wire, the control stream, pings, and one way to end.
//
// Where the raw connection tells when there is something to read, no goroutine
// belongs to a tunnel on which nothing happens.
type session struct {
	wire    wire
	mux     *mux.Session
	ctl     *mux.Stream
	flood   rate.Limiter // of what the peer may send beside streams' data
	reader  mux.Reader
	start   time.Time
	heard   atomic.Int64  // when bytes last came, since start
	ping    time.Duration // between pings
	patient time.Duration // for how long nothing may come
	asks    bool          // it pings whether or not it has heard something: an agent does
	deaf    bool          // the peer broke the protocol: read on, so that the goodbye is not cut off by a reset, but believe nothing
	ended   bool          // by the one who reads: there is no more to be read
	ending  atomic.Bool   // set by end
	keen    atomic.Bool   // somebody visits: see keen.go
	watched atomic.Bool   // the wire is: it is written to without waiting where that is wished

	words  []byte // the beginning of a control message
	handle func(message)
	inbox  inbox

	cause   *fault.Error // why; nil before finish if it is lost's to say
	endOnce sync.Once
	leaving atomic.Pointer[fault.Error] // the peer's goodbye

	timers struct {
		sync.Mutex
		next    *time.Timer // the ping's, or the one that notices silence
		ping    time.Time
		linger  *time.Timer
		stopped bool
	}
	doubt *doubt             // an agent's; nil: nobody doubts
	down  down               // when there is no more to be read
	cut   func()             // called then, if there is one
	over  func(*fault.Error) // gets the reason, at the very end
	wg    sync.WaitGroup     // of streams' handlers
}

func newSession(c *tls.Conn, cfg Config, accept func(*mux.Stream)) *session {
	t := &session{
		wire: newWire(c), start: time.Now(), ping: cfg.Ping, patient: cfg.Silence, asks: accept != nil,
		// Statuses and passes are rare; the rest is twice what pings cost.
		flood: *rate.NewLimiter(5+4*rate.Every(cfg.Ping), 60),
	}
	t.mux = mux.New(mux.Config{
		Client: accept == nil, Accept: accept, BothWays: true, Control: t.flood.Allow, Write: t.write, TryWrite: t.tryWrite(), Settle: t.settle,
		Window: cfg.Window, Growth: fullWindows * cfg.Window, Budget: cfg.Budget, MaxStreams: cfg.MaxStreams + acceptBacklog, Lost: errLost, Addrs: t.wire.raw,
	})
	tuneSocket(t.wire.raw, cfg.Silence)
	return t
}

// end makes the tunnel stop for cause, which the peer is told if say. The
// first cause stands; it is nil where the connection went, for which the peer may
// have said why, in words that are yet to be read. It never blocks: whoever calls
// it may hold up others, and the socket may be stuck.
func (t *session) end(cause *fault.Error, say bool) {
	t.endOnce.Do(func() {
		t.cause = cause
		t.ending.Store(true)
		var words []byte
		if say {
			words, _ = goodbye(cause).encode() // without words the end is message enough
		}
		by := time.Now().Add(linger)
		_ = t.wire.raw.SetWriteDeadline(by)
		t.mux.Finish(t.ctl, words, func() { t.wire.hangUp(by) })
		t.timers.Lock()
		defer t.timers.Unlock()
		if !t.timers.stopped {
			// At once: a TLS close could wait for a stuck socket.
			t.timers.linger = time.AfterFunc(linger, func() { _ = t.wire.raw.Close() })
		}
	})
}

// begin holds the tunnel until it ends, for whatever reason; over gets that
// when nothing of it is left. handle gets the peer's messages, one at a time.
func (t *session) begin(handle func(message), over func(*fault.Error)) {
	t.handle, t.over = handle, over
	t.ctl.OnReadable(t.hear)
	t.hear() // what came before
	t.keepAlive()
	if t.wire.poll != nil {
		t.wire.poll.Thrift(t.wire.tls)
	}
	if t.wire.poll != nil && t.wire.poll.Watch(t.wire.tls, t.ready) == nil {
		t.watched.Store(t.wire.poll.Pollable())
		return
	}
	go func() {
		for !t.ended {
			t.take(t.wire.Read(t.reader.Room()))
		}
		t.finish()
	}()
}

// turns is how often a tunnel that has much to read is read before others have
// their turn.
const turns = 4

// ready reads what is there.
func (t *session) ready() (again bool) {
	for range turns {
		if t.ended {
			return false
		}
		at, parts, err := t.wire.poll.TryTake(newRoom)
		if nothingNow(err) {
			return false
		}
		if len(parts) > 0 && t.hears() {
			t.took(t.mux.Receive(at.(*mux.Segment), parts...))
		}
		if t.ended = err != nil; t.ended {
			go t.finish()
			return false
		}
	}
	return true
}

// take gives the multiplexer what was read.
func (t *session) take(n int, err error) {
	if n > 0 && t.hears() {
		t.took(t.reader.Took(t.mux, n))
	}
	t.ended = err != nil
}

// hears is for when something has come, and reports whether it is believed.
func (t *session) hears() bool {
	if t.deaf {
		return false
	}
	t.heard.Store(int64(time.Since(t.start)))
	return true
}

// took gets what the multiplexer says of it.
func (t *session) took(breach error) {
	if breach != nil {
		t.deaf = true
		t.end(t.blame(breach), true)
	}
}

// write is the multiplexer's. After an error the reader may yet find a goodbye.
func (t *session) write(b []byte) error {
	return t.wrote(t.wire.write(b))
}

func (t *session) wrote(err error) error {
	if err != nil {
		t.end(nil, false)
	}
	return err
}

// tryWrite is write that does not wait; nil if the wire cannot.
func (t *session) tryWrite() func([]byte) (bool, error) {
	if t.wire.poll == nil {
		return nil
	}
	return func(b []byte) (bool, error) {
		if !t.watched.Load() {
			return true, t.write(b)
		}
		done, err := t.wire.poll.TryWrite(b)
		return done, t.wrote(err)
	}
}

// settle waits for what tryWrite has left.
func (t *session) settle() error { return t.wrote(t.wire.cork.Uncork()) }

// finish is the end of a tunnel that is read no more.
func (t *session) finish() {
	t.reader.Release()
	t.mux.Fail(nil)
	_ = t.wire.raw.Close()
	t.down.happen()
	if t.cut != nil {
		t.cut()
	}
	t.inbox.wait() // there may be a goodbye in it
	t.end(nil, false)
	if t.cause == nil { // nobody knew better
		t.cause = t.lost()
	}
	t.timers.Lock()
	t.timers.stopped = true
	t.timers.next.Stop()
	if l := t.timers.linger; l != nil {
		l.Stop()
	}
	t.timers.Unlock()
	t.wg.Wait()
	t.over(t.cause)
}

// silence is how long nothing has been heard.
func (t *session) silence() time.Duration {
	return time.Since(t.start) - time.Duration(t.heard.Load())
}

// keepAlive sends pings, and notices when nothing comes.
func (t *session) keepAlive() {
	t.timers.Lock()
	defer t.timers.Unlock()
	t.timers.ping = time.Now().Add(t.pingIn())
	t.timers.next = time.AfterFunc(min(time.Until(t.timers.ping), t.patient), t.tick)
}

// unasked is for how long a side sends no ping if nothing comes. A relay leaves it
// to agents, who want to know all the time whether it answers; that they live it
// hears by that.
func (t *session) unasked() time.Duration {
	if t.asks {
		return 0
	}
	return t.ping * 5 / 4 // an agent's longest pause
}

func (t *session) pingIn() time.Duration {
	every := t.ping
	if t.keen.Load() {
		every /= keenPings
	}
	return every*3/4 + rand.N(every/2+1)
}

func (t *session) tick() {
	if t.silence() >= t.patient {
		t.end(fault.New(fault.PeerSilent, "Nothing was heard from the other end for %v.", t.patient), true)
	}
	if t.mux.Unacknowledged() >= t.patient {
		t.end(fault.New(fault.PeerSilent, "The other end takes no streams."), true)
	}
	t.timers.Lock()
	defer t.timers.Unlock()
	if t.timers.stopped {
		return
	}
	if now := time.Now(); !now.Before(t.timers.ping) {
		if d := t.doubt; d != nil && d.asked == 0 { // before it goes: its answer may be here before post has returned
			d.asked, d.times = now.Sub(t.start), 0
		}
		if later := t.unasked() - t.silence(); later > 0 {
			t.timers.ping = now.Add(later)
		} else {
			_ = t.post(message{Type: typePing}) // if it finds no room, enough is waiting to be sent
			t.timers.ping = now.Add(t.pingIn())
		}
	}
	wait := min(time.Until(t.timers.ping), max(t.patient-t.silence(), time.Millisecond))
	if t.doubt != nil {
		wait = min(wait, t.doubtIn())
	}
	if t.ending.Load() {
		wait = linger
	}
	t.timers.next.Reset(wait)
}

// lost is the reason when the connection went: what the peer said before, or
// just that.
func (t *session) lost() *fault.Error {
	if f := t.leaving.Load(); f != nil {
		return f
	}
	return fault.New(fault.ConnectionLost, "The connection broke.")
}

// blame is the reason when the peer broke the multiplexer's protocol.
func (t *session) blame(breach error) *fault.Error {
	switch {
	case errors.Is(breach, mux.ErrFlood):
		return errFlood
	case errors.Is(breach, mux.ErrOpened):
		return fault.New(fault.Protocol, "The agent opened a stream; only the relay may.")
	case errors.As(breach, new(mux.ProtocolError)):
		return fault.New(fault.Protocol, "The multiplexer: %v.", breach)
	}
	return t.lost()
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

var errLost = fault.New(fault.ConnectionLost, "The connection to the other end of the tunnel broke.")

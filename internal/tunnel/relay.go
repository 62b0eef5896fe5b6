package tunnel

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// Relay is the relay's end of a tunnel. Safe for concurrent use.
type Relay struct {
	*session
	welcome Welcome
	open    atomic.Int64
}

// Handlers get what the agent says, one call at a time, in order.
type Handlers struct {
	OnStatus func(Status)
	// OnPass judges a renewed pass. Its error is told to the agent; the tunnel
	// goes on, since the pass that opened it was good.
	OnPass func(pass string) error
	// OnGoodbye is told once that the agent takes no more streams and will end
	// the tunnel with the last one that runs.
	OnGoodbye func()
	// OnEndVisit is the wish of the PBX's staff that a visit ends.
	OnEndVisit func(id.Visit)
}

// Run holds the tunnel until it ends and returns why, always a *fault.Error:
// the cause given to Kill, peer_silent, agent_stopped, protocol_error,
// too_many_requests, connection_lost, or draining if ctx ended.
func (r *Relay) Run(ctx context.Context, h Handlers) error {
	over := make(chan error, 1)
	defer context.AfterFunc(ctx, func() { r.Kill(ErrStopped) })()
	r.Start(h, func(err error) { over <- err })
	return <-over
}

// ErrStopped is the cause to Kill a tunnel for when its relay ends.
var ErrStopped = fault.New(fault.Draining, "The relay stopped.")

// Start is Run for who has many tunnels and waits for none: ended gets what Run
// would return, after the last call of a handler, in a goroutine of its own.
func (r *Relay) Start(h Handlers, ended func(error)) {
	r.begin(func(m message) { r.heed(h, m) }, func(cause *fault.Error) { ended(cause) })
}

func (r *Relay) heed(h Handlers, m message) {
	switch {
	case m.Type == typeStatus && h.OnStatus != nil:
		h.OnStatus(*m.Status)
	case m.Type == typePass && h.OnPass != nil:
		if err := h.OnPass(m.Pass); err != nil {
			_ = r.post(message{Type: typeRefused, Fault: toWire(asFault(err))})
		}
	case m.Type == typeEndVisit && h.OnEndVisit != nil:
		h.OnEndVisit(m.Visit.ID)
	case m.Type == typeGoodbye:
		if r.leaving.CompareAndSwap(nil, agentsReason(m.Fault)) && h.OnGoodbye != nil {
			h.OnGoodbye()
		}
	}
}

// agentsReason lets an agent say only what is its own to say.
func agentsReason(w *wireFault) *fault.Error {
	switch w.Code {
	case fault.AgentStopped:
		return fault.New(fault.AgentStopped, "The agent was stopped.")
	case fault.RemoteOff:
		return fault.New(fault.RemoteOff, "Remote access was switched off on the PBX.")
	case fault.Protocol, fault.PeerSilent, fault.TooMany:
		return fault.New(fault.ConnectionLost, "The agent ended the tunnel: %s (%s).", w.Message, w.Code)
	}
	return fault.New(fault.ConnectionLost, "The agent ended the tunnel.")
}

// Open opens a stream; its header goes with what is sent first. It does not
// wait for the agent, unless 256 streams wait for it already: the stream's Read
// tells whether it was taken. The caller closes the stream.
func (r *Relay) Open(ctx context.Context, h Header) (*Stream, error) {
	b, err := h.encode()
	switch f := r.leaving.Load(); {
	case err != nil:
		return nil, err
	case f != nil:
		return nil, f
	case r.ending.Load():
		return nil, errLost
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	m, err := r.mux.Open(ctx.Done())
	switch {
	case err == nil:
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fault.New(fault.PortalTimeout, "The agent did not take the request in time.")
	case ctx.Err() != nil:
		return nil, ctx.Err()
	default:
		return nil, errLost
	}
	r.open.Add(1)
	m.OnClose(func() { r.open.Add(-1) })
	m.Hold(b) // if not, the tunnel has ended, and Read says so
	return &Stream{Stream: m, t: r.session}, nil
}

// Drain asks the agent to open a tunnel elsewhere, and to let this one go when
// its streams have ended. It only queues the message.
func (r *Relay) Drain(d Drain) error {
	return r.post(message{Type: typeDrain, DeadlineMS: millis(d.Deadline), WithinMS: millis(d.Within), Relays: d.Relays})
}

// Home tells the agent where it could be as its Status wishes. It only queues the
// message.
func (r *Relay) Home(h Home) error {
	return r.post(message{Type: typeHome, DeadlineMS: millis(h.Deadline), Relays: h.Relays})
}

// Renew asks the agent to renew its pass at a moment within that time. It only
// queues the message.
func (r *Relay) Renew(within time.Duration) error {
	return r.post(message{Type: typeRenew, WithinMS: millis(within)})
}

// millis is a time as messages have it.
func millis(d time.Duration) int64 { return min(max(d, 0), retryMax).Milliseconds() }

// Kill ends the tunnel and all its streams. It returns at once, whatever state
// the socket is in: the agent gets a second to hear the cause, then the socket
// is closed. The first cause stands; Run returns it.
func (r *Relay) Kill(cause error) { r.end(asFault(cause), true) }

// Done is closed when the connection is.
func (r *Relay) Done() <-chan struct{} { return r.down.done() }

// Streams is the number of streams that Open returned and nobody closed yet.
func (r *Relay) Streams() int { return int(r.open.Load()) }

func (r *Relay) Welcome() Welcome     { return r.welcome }
func (r *Relay) RemoteAddr() net.Addr { return r.wire.raw.RemoteAddr() }

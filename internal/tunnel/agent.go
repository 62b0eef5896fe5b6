package tunnel

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/mux"
)

// Agent is the agent's end of a tunnel. Safe for concurrent use.
type Agent struct {
	*session
	welcome  Welcome
	cfg      Config
	running  atomic.Int64 // streams
	stopping atomic.Bool
	leave    atomic.Pointer[fault.Error] // why the agent itself ends the tunnel
	idle     chan struct{}               // has a token when the last stream of a stopping agent ended
	serve    func(*mux.Stream)           // nil before Run
	early    []*mux.Stream               // that came before it
	visits   map[id.Visit]struct{}       // that go on; heed's
}

// AgentHandlers get what the relay does. OnStream is needed.
type AgentHandlers struct {
	// OnStream serves a stream in its own goroutine and owns c. It calls
	// AcceptStream or RefuseStream before anything else, and returns soon after
	// ctx ended or c broke.
	OnStream func(ctx context.Context, h Header, c net.Conn)
	// OnDrain, OnHome and OnRefused (of a pass sent by SendPass) must not block.
	OnDrain   func(Drain)
	OnHome    func(Home)
	OnRefused func(*fault.Error)
	// OnRenew asks for a renewal of the pass within a time: control has something
	// else to say with it. It must not block.
	OnRenew func(within time.Duration)
	// OnVisit says that somebody visits this PBX, and OnVisitEnd that the visit
	// is over. A visit that goes on is told again on the next tunnel. They must
	// not block.
	OnVisit    func(Visit)
	OnVisitEnd func(id.Visit, fault.Code)
	// OnDoubt says that nothing has come for 2/9 of Config.Silence since a ping was
	// sent, and says it again after every further 2/9 while nothing comes: times is
	// how often since something came last. It must not block.
	OnDoubt func(times int)
}

var errStopped = fault.New(fault.AgentStopped, "The agent was stopped.")

// Run holds the tunnel until it ends, and waits for its streams' handlers. It
// returns why, a *fault.Error (the relay's own words if it said goodbye), or
// nil after Stop or when ctx ended.
func (a *Agent) Run(ctx context.Context, h AgentHandlers) error {
	stop := context.AfterFunc(ctx, func() { a.end(errStopped, true) })
	defer stop()
	streams, cancel := context.WithCancel(ctx)
	a.serve = a.server(streams, h.OnStream)
	for _, s := range a.early {
		a.admit(s)
	}
	a.early = nil
	a.cut = cancel
	if h.OnDoubt != nil {
		a.timers.Lock()
		a.doubt = &doubt{tell: h.OnDoubt}
		a.timers.Unlock()
	}
	over := make(chan struct{})
	a.begin(func(m message) { a.heed(h, m) }, func(*fault.Error) { close(over) })
	<-over
	if a.cause == errStopped || a.cause == a.leave.Load() { // ours, not another of its code
		return nil
	}
	return a.cause
}

func (a *Agent) heed(h AgentHandlers, m message) {
	switch m.Type {
	case typeVisit:
		a.visited(m.Visit.ID)
	case typeVisitEnd:
		a.left(m.Visit.ID)
	}
	switch {
	case m.Type == typeDrain && h.OnDrain != nil:
		h.OnDrain(Drain{Deadline: time.Duration(m.DeadlineMS) * time.Millisecond, Within: time.Duration(m.WithinMS) * time.Millisecond, Relays: m.Relays})
	case m.Type == typeHome && h.OnHome != nil:
		h.OnHome(Home{Deadline: time.Duration(m.DeadlineMS) * time.Millisecond, Relays: m.Relays})
	case m.Type == typeRefused && h.OnRefused != nil:
		if f, err := m.Fault.fault(); err == nil {
			h.OnRefused(f)
		}
	case m.Type == typeRenew && h.OnRenew != nil:
		h.OnRenew(time.Duration(m.WithinMS) * time.Millisecond)
	case m.Type == typeVisit && h.OnVisit != nil:
		h.OnVisit(m.Visit.visit())
	case m.Type == typeVisitEnd && h.OnVisitEnd != nil:
		h.OnVisitEnd(m.Visit.ID, m.Code)
	case m.Type == typeGoodbye:
		if f, err := m.Fault.fault(); err == nil {
			a.leaving.CompareAndSwap(nil, f)
			a.end(f, false)
		}
	}
}

// arrive is called by the reader for every stream that the relay opens.
func (a *Agent) arrive(s *mux.Stream) {
	switch {
	case a.ctl == nil:
		a.ctl = s
		s.SetUrgent()
	case a.serve == nil:
		a.early = append(a.early, s)
	default:
		a.admit(s)
	}
}

// admit serves a stream, or refuses it.
func (a *Agent) admit(s *mux.Stream) {
	switch n := a.running.Add(1); {
	case a.stopping.Load():
		a.refuse(s, fault.New(fault.AgentStopped, "The agent is stopping."))
	case n > int64(a.cfg.MaxStreams):
		a.refuse(s, fault.New(fault.TooMany, "The agent serves %d streams already.", a.cfg.MaxStreams))
	default:
		a.wg.Go(func() {
			defer a.release(s)
			a.serve(s)
		})
	}
}

// refuse does not wait: the reader calls it.
func (a *Agent) refuse(s *mux.Stream, f *fault.Error) {
	s.Post(encodeReply(f)) // if it does not get there, neither would anything else
	a.release(s)
}

func (a *Agent) release(s *mux.Stream) {
	s.Close()
	if a.running.Add(-1) == 0 && a.stopping.Load() {
		a.signalIdle()
	}
}

func (a *Agent) signalIdle() {
	select {
	case a.idle <- struct{}{}:
	default:
	}
}

// server reads a stream's header and has it served.
func (a *Agent) server(ctx context.Context, serve func(context.Context, Header, net.Conn)) func(*mux.Stream) {
	return func(s *mux.Stream) {
		_ = s.SetReadDeadline(time.Now().Add(a.cfg.HelloTimeout))
		h, err := readHeader(s)
		if err != nil {
			_ = RefuseStream(s, fault.New(fault.Protocol, "The stream's header is malformed or late."))
			return
		}
		_ = s.SetReadDeadline(time.Time{})
		serve(ctx, h, s)
	}
}

// SendStatus queues what is behind the tunnel, for the relay.
func (a *Agent) SendStatus(s Status) error {
	if err := s.valid(); err != nil {
		return err
	}
	return a.post(message{Type: typeStatus, Status: &s})
}

// SendPass queues a renewed pass.
func (a *Agent) SendPass(pass string) error {
	if pass == "" || len(pass) > helloMax {
		return errors.New("pass missing or too long")
	}
	return a.post(message{Type: typePass, Pass: pass})
}

// Stop says goodbye, refuses new streams, waits until the running ones have
// ended or ctx has, and closes the tunnel. Run returns then. The error is
// ctx's, if streams were cut.
func (a *Agent) Stop(ctx context.Context) error { return a.Leave(ctx, errStopped) }

// Leave is Stop for another reason than that the agent is stopped. A relay
// believes agent_stopped and remote_access_off.
func (a *Agent) Leave(ctx context.Context, why *fault.Error) error {
	a.leave.CompareAndSwap(nil, why)
	if why = a.leave.Load(); !a.stopping.Swap(true) {
		_ = a.post(goodbye(why)) // if it has no room, the relay learns by the goodbye of the end
	}
	if a.running.Load() == 0 {
		a.signalIdle()
	}
	var err error
	select {
	case <-a.idle:
	case <-ctx.Done():
		err = ctx.Err()
	case <-a.down.done():
	}
	a.end(why, true)
	<-a.down.done()
	return err
}

func (a *Agent) Welcome() Welcome { return a.welcome }

// Doubtful reports whether OnDoubt was called and nothing has come since.
func (a *Agent) Doubtful() bool { return a.isDoubtful() }

// Done is closed when the connection is.
func (a *Agent) Done() <-chan struct{} { return a.down.done() }

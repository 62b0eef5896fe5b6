package agent

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

const (
	stopGrace = 5 * time.Second // for streams, when the agent is stopped
	maxDrain  = 30 * time.Minute
	// handover is how long a tunnel takes new streams beside its successor: the
	// relays hear of that a moment later than the agent does.
	handover = 5 * time.Second
	// maxOld bounds the tunnels that finish their streams beside the current
	// one, whatever relays tell us.
	maxOld = 3
)

// held is one tunnel from welcome to end. Its goroutine owns the link.
type held struct {
	link   link
	relay  id.Relay
	tunnel id.Tunnel
	addr   string // of a second one's relay
	since  time.Time
	drain  chan tunnel.Drain // at most one is of interest
	home   chan tunnel.Home  // the same
	doubt  chan int          // its relay does not answer, told for so many times now; capacity 1
	done   chan struct{}     // closed when the link is gone; err is set then
	err    error
	cut    context.CancelFunc
	first  bool // and not the second one; guarded by second.mu
}

// start takes l over and runs it as the first tunnel, until stop or cut: it
// outlives ctx, so that streams are given time to end.
func (a *Agent) start(ctx context.Context, l link) *held {
	h, run := newHeld(ctx, l)
	h.first = true
	a.state.up(h, a.passes.identity().serving())
	a.met.up.Inc()
	a.carry(run, h)
	a.tellNow(h)
	a.second.firstIs(h.relay)
	return h
}

// startSecond is start for the second tunnel. It gives the one before, which is
// no more.
func (a *Agent) startSecond(ctx context.Context, l link, addr string) (old *held) {
	h, run := newHeld(ctx, l)
	h.addr = addr
	if old = a.second.swap(h); old == nil {
		a.met.second.Inc()
	}
	a.carry(run, h)
	a.second.tell(func(h *held) { a.tell(h, a.secondStatus()) })
	return old
}

func newHeld(ctx context.Context, l link) (h *held, run context.Context) {
	w := l.Welcome()
	run, cut := context.WithCancel(context.WithoutCancel(ctx))
	return &held{
		link: l, relay: w.Relay, tunnel: w.Tunnel, since: time.Now(),
		drain: make(chan tunnel.Drain, 1), home: make(chan tunnel.Home, 1), doubt: make(chan int, 1), done: make(chan struct{}), cut: cut,
	}, run
}

// tellNow says what is so now on first tunnels: what is said last is what was so last.
func (a *Agent) tellNow(hs ...*held) {
	a.saying.Lock()
	defer a.saying.Unlock()
	s := a.status()
	for _, h := range hs {
		a.tell(h, s)
	}
}

// tell says what is behind h. If that fails the tunnel's end will say why.
func (a *Agent) tell(h *held, s tunnel.Status) {
	if err := h.link.SendStatus(s); err != nil {
		a.log.Debug("status not sent", zap.String("relay", string(h.relay)), zap.Error(err))
	}
}

// carry runs h until it ends.
func (a *Agent) carry(run context.Context, h *held) {
	log := a.log.With(zap.String("relay", string(h.relay)), zap.String("tunnel", string(h.tunnel)))
	log.Info("tunnel up", zap.Bool("second", !h.first))
	a.wg.Go(func() {
		defer h.cut()
		h.err = h.link.Run(run, tunnel.AgentHandlers{
			OnStream: a.streams(),
			OnDrain: func(d tunnel.Drain) {
				select {
				case h.drain <- d:
				default:
				}
			},
			OnHome: func(to tunnel.Home) {
				select {
				case h.home <- to:
				default:
				}
			},
			OnDoubt: func(times int) {
				select {
				case h.doubt <- times:
				default:
				}
			},
			OnRenew:    a.passes.news,
			OnRefused:  func(f *fault.Error) { log.Warn("relay does not take the new pass", zap.Error(f)) },
			OnVisitEnd: func(v id.Visit, code fault.Code) { a.visits.went(h, v, code) },
			OnVisit: func(v tunnel.Visit) {
				a.visited(h, v)
			},
		})
		if h.err == nil {
			h.err = errStopped
		}
		a.met.ended(h.err)
		if a.second.forget(h) {
			a.met.second.Dec()
		}
		if a.second.isFirst(h) {
			a.met.up.Dec()
			a.state.down(h)
		}
		a.visits.lost(h)
		log.Info("tunnel down", zap.String("code", string(fault.CodeOf(h.err))),
			zap.Int64("dur_ms", time.Since(h.since).Milliseconds()), zap.Error(h.err))
		close(h.done)
	})
}

func (h *held) alive() bool {
	select {
	case <-h.done:
		return false
	default:
		return true
	}
}

// answers reports whether h lives, and its relay at the other end too, as far as
// is known.
func (h *held) answers() bool { return h.alive() && !h.link.Doubtful() }

// stop says goodbye and why, lets streams finish within grace, and waits for
// the end.
func (h *held) stop(ctx context.Context, grace time.Duration, why *fault.Error) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	_ = h.link.Leave(ctx, why) // however that went, the link is closed next
	h.cut()
	<-h.done
}

// retire lets h finish its streams beside its successor.
func (a *Agent) retire(ctx context.Context, h *held, within time.Duration) {
	a.left = time.Now()
	a.old = slices.DeleteFunc(append(a.old, h), func(h *held) bool { return !h.alive() })
	if len(a.old) > maxOld {
		a.old[0].cut()
	}
	a.wg.Go(func() {
		late, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		// Stopping the agent shortens the time that streams have.
		stop := context.AfterFunc(ctx, func() {
			_, grace := parting(ctx)
			time.AfterFunc(grace, cancel)
		})
		defer stop()
		select {
		case <-time.After(handover):
		case <-h.done:
		case <-late.Done():
		}
		h.stop(late, min(max(within-handover, stopGrace), maxDrain), errStopped)
	})
}

// stopAll ends the tunnels in hs, all at once. The caller of hold waits.
func (a *Agent) stopAll(ctx context.Context, hs ...*held) {
	why, grace := parting(ctx)
	for _, h := range hs {
		if h != nil {
			a.wg.Go(func() { h.stop(context.WithoutCancel(ctx), grace, why) })
		}
	}
}

var (
	errStopped = fault.New(fault.AgentStopped, "The agent ended the tunnel.")
	// errOff ends a life when remote access is switched off.
	errOff = fault.New(fault.RemoteOff, "Remote access was switched off on the PBX.")
)

// parting is what relays are told when ctx has ended, and how long streams may
// go on. Nobody stays in a PBX whose staff switched remote access off.
func parting(ctx context.Context) (why *fault.Error, grace time.Duration) {
	if errors.Is(context.Cause(ctx), errOff) {
		return errOff, 0
	}
	return errStopped, stopGrace
}

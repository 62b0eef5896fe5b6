package agent

import (
	"cmp"
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

const (
	// secondBase and secondMax bound the backoff of the second tunnel: nobody
	// waits for it.
	secondBase = 2 * time.Second
	secondMax  = 5 * time.Minute
	// secondWithin is in what time agents seek theirs that have the same reason to.
	secondWithin = 20 * time.Second
)

// second is the idle tunnel that is kept at another relay than the first one,
// if the provider wishes so. Safe for concurrent use.
type second struct {
	wake chan struct{} // something has changed; capacity 1

	mu    sync.Mutex
	first id.Relay // where the first tunnel is; "": nowhere
	held  *held    // nil: there is none
}

func newSecond() *second { return &second{wake: make(chan struct{}, 1)} }

func (s *second) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// firstIs says where the first tunnel is.
func (s *second) firstIs(r id.Relay) {
	s.mu.Lock()
	s.first = r
	s.mu.Unlock()
	s.poke()
}

func (s *second) now() (first id.Relay, h *held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first, s.held
}

// swap makes h the second tunnel, and gives the one before.
func (s *second) swap(h *held) (old *held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, s.held = s.held, h
	return old
}

// forget reports whether h was the second tunnel, which it is no more.
func (s *second) forget(h *held) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != h {
		return false
	}
	s.held = nil
	return true
}

// isFirst: h is the first tunnel, or was it.
func (s *second) isFirst(h *held) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return h.first
}

// tell sends something on the second tunnel while it is that.
func (s *second) tell(send func(*held)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != nil {
		send(s.held)
	}
}

// successor is the second tunnel as the first one, if why says that the line or
// the relay was lost: whatever else ended it would end the second one too.
func (a *Agent) successor(why error) *held {
	switch fault.CodeOf(why) {
	case fault.ConnectionLost, fault.PeerSilent, fault.Draining:
		return a.promoted()
	}
	return nil
}

// promoted is the second tunnel as the first one, if there is one that lives.
// Where it is the first one is sought when it is lost.
func (a *Agent) promoted() *held {
	h := a.promote()
	if h == nil {
		return nil
	}
	a.tried = h.addr
	a.relays.settle(h.addr)
	return h
}

// promote makes the second tunnel the first one, and gives it; nil if there is
// none that answers. What is said of it is said under mu: its end, and a status for
// a second tunnel, come before or after.
func (a *Agent) promote() *held {
	s := a.second
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.held
	if h == nil || !h.answers() {
		return nil
	}
	s.held, s.first, h.first = nil, h.relay, true
	a.met.second.Dec()
	a.met.up.Inc()
	a.state.up(h, a.passes.identity().serving())
	a.tellNow(h)
	a.log.Info("the second tunnel is the first now", zap.String("relay", string(h.relay)), zap.String("tunnel", string(h.tunnel)))
	s.poke()
	return h
}

// keepSecond keeps a second tunnel as long as one is wished for and the first
// one is up, until ctx ends.
func (a *Agent) keepSecond(ctx context.Context) {
	retry := backoff{base: secondBase, max: secondMax}
	var due time.Time    // of the next attempt; zero: it is not known yet
	var leaving id.Relay // asked its tunnel to move
	at := 0              // in the list of places
	var last homeward
	for {
		first, h := a.second.now()
		places := a.placesBeside(first, leaving)
		wait := secondMax
		switch {
		case h != nil && (len(a.passes.identity().Second) == 0 || h.relay == first):
			a.endSecond(ctx, h)
			continue
		case first == "" || len(places) == 0 || h != nil && h.relay != leaving:
		case due.IsZero():
			wait = a.secondIn()
			due = time.Now().Add(wait)
		case time.Now().Before(due):
			wait = time.Until(due)
		default:
			err := a.openSecond(ctx, ctx, places[at%len(places)].Addr)
			if err == nil {
				leaving, due = "", time.Time{}
				continue
			}
			at++
			wait = hinted(retry.next(), judge(err).hint)
			due = time.Now().Add(wait)
			a.log.Info("no second tunnel", zap.String("code", string(fault.CodeOf(err))), zap.Int64("wait_ms", wait.Milliseconds()), zap.Error(err))
		}
		var done <-chan struct{}
		var drain <-chan tunnel.Drain
		var home <-chan tunnel.Home
		if h != nil {
			done, drain, home = h.done, h.drain, h.home
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			if _, h := a.second.now(); h != nil {
				why, grace := parting(ctx)
				h.stop(context.WithoutCancel(ctx), grace, why)
			}
			return
		case <-a.second.wake:
		case <-done:
			if time.Since(h.since) > stableTo {
				retry.reset()
			}
			due = time.Now().Add(max(retry.next(), a.secondIn()))
		case d := <-drain:
			leaving, due = h.relay, time.Now().Add(between(0, min(max(d.Within, 0), maxHint)+1))
		case to := <-home:
			a.goHomeSecond(ctx, h, to, &last)
		case <-t.C:
		}
		t.Stop()
	}
}

// secondIn is how long to wait before a second tunnel is sought. What makes one
// agent seek it mostly makes many: another wish of the account's, or the end of a
// relay, whose visitors' requests should not stand behind so many handshakes.
func (a *Agent) secondIn() time.Duration { return between(0, cmp.Or(a.cfg.SecondWithin, secondWithin)) }

// secondStatus is what the second tunnel's relay is told.
func (a *Agent) secondStatus() tunnel.Status {
	s := a.status()
	s.Second = true
	return s
}

// placesBeside are where a second tunnel can be, the relays in not left out.
func (a *Agent) placesBeside(not ...id.Relay) (out []tunnel.Place) {
next:
	for _, p := range a.passes.identity().Second {
		for _, r := range not {
			if p.Relay == r {
				continue next
			}
		}
		out = append(out, p)
	}
	return out
}

// openSecond makes one attempt, within a context. The tunnel there was is let go
// afterwards.
func (a *Agent) openSecond(ctx, within context.Context, addr string) error {
	l, err := a.line.dialSecond(within, addr, a.passes.identity().Pass.Token)
	if err != nil {
		a.met.failed(err)
		return err
	}
	w := l.Welcome()
	if first, _ := a.second.now(); !w.Second || w.Relay == first {
		a.hangUp(ctx, l)
		return fault.New(fault.VersionMismatch, "The relay %s holds the first tunnel, or knows of no second ones.", w.Relay)
	}
	if old := a.startSecond(ctx, l, addr); old != nil {
		a.endSecond(ctx, old)
	}
	return nil
}

// hangUp ends a tunnel before it has begun.
func (a *Agent) hangUp(ctx context.Context, l link) {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	_ = l.Run(ctx, tunnel.AgentHandlers{OnStream: a.streams()}) // it ends at once, as it should
}

// endSecond lets h go; streams that run on it, if it served for a moment, may
// end.
func (a *Agent) endSecond(ctx context.Context, h *held) {
	if a.second.forget(h) {
		a.met.second.Dec()
	}
	a.wg.Go(func() { h.stop(context.WithoutCancel(ctx), stopGrace, errStopped) })
}

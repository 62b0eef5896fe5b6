package agent

import (
	"context"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/fault"
	"trunkline/internal/tunnel"
)

const (
	retryBase = time.Second // so the first retry comes within a second
	retryMax  = 2 * time.Minute
	// askAfter failures in a row the agent asks control which relays live. Not
	// before: a relay that falls must not send all its agents to control.
	askAfter   = 4
	askTimeout = 10 * time.Second
	// A tunnel counts as stable after a random time between these; until then
	// its end goes on with the backoff where it was.
	stableFrom, stableTo = 30 * time.Second, 60 * time.Second
	// doubted is how long a tunnel whose relay did not answer is kept beside its
	// successor: longer than its own patience is.
	doubted = time.Minute
	// ownMove is how long after a move "another agent" may be this one.
	ownMove = time.Minute
)

// hold keeps a tunnel up until ctx ends. Whatever can end an attempt or a
// tunnel is a case below; nothing else leaves the loop.
func (a *Agent) hold(ctx context.Context) {
	retry := backoff{base: retryBase, max: retryMax}
	var moving *held // asked to leave; serves until its successor is up
	var deadline time.Time
	var home homeward
	a.wg.Go(func() { a.keepSecond(ctx) })
	for {
		next, err := a.open(ctx)
		switch {
		case ctx.Err() != nil:
			a.stopAll(ctx, next, moving)
			return
		case err != nil:
			a.wait(ctx, a.afterFailure(ctx, err, &retry, true))
			continue
		}
		if moving != nil {
			a.retire(ctx, moving, time.Until(deadline))
			moving = nil
		}

		stable := time.NewTimer(between(stableFrom, stableTo))
	serving:
		for {
			select {
			case <-ctx.Done():
				a.stopAll(ctx, next)
				return
			case <-stable.C:
				retry.reset()
			case <-next.done:
				if h := a.successor(next.err); h != nil {
					next = h
					continue
				}
				a.second.firstIs("")
				// Where it was stable it is sought first: that was a short cut of the line.
				a.wait(ctx, a.afterFailure(ctx, next.err, &retry, retry.n > 0))
				break serving
			case times := <-next.doubt:
				if h := a.escape(ctx, next, times); h != nil {
					a.retire(ctx, next, doubted)
					next = h
				}
			case to := <-next.home:
				if h := a.goHome(ctx, next, to, &home); h != nil {
					a.retire(ctx, next, to.Deadline)
					next = h
				}
			case d := <-next.drain:
				if h := a.promoted(); h != nil {
					a.retire(ctx, next, d.Deadline)
					next = h
					continue
				}
				moving, deadline = next, time.Now().Add(d.Deadline)
				a.relays.move(d.Relays)
				a.wait(ctx, a.beforeMove(d, &retry))
				break serving
			}
		}
		stable.Stop()
	}
}

// open makes one attempt, with one relay.
func (a *Agent) open(ctx context.Context) (*held, error) {
	i := a.passes.identity()
	a.tried = i.Server
	if i.Pass.Token == "" || len(i.Relays) == 0 {
		if err := a.passes.renew(ctx); err != nil {
			return nil, err
		}
		i = a.passes.identity()
	}
	a.relays.update(i.Relays)
	addr, ok := a.relays.current()
	if !ok {
		return nil, errNoRelay
	}
	a.tried = addr
	l, err := a.line.dial(ctx, addr, i.Pass.Token)
	if err != nil {
		a.met.failed(err)
		return nil, err
	}
	a.relays.arrived()
	return a.start(ctx, l), nil
}

// escape seeks another tunnel for one whose relay does not answer: the second one,
// or one that a relay takes now, by one attempt. It gives nil if there is none, as
// when the line is cut, or if the relay answers again: then h stays, until it ends
// by itself. Each time that h's relay is doubted in one silence it tries the next
// relay of the list.
func (a *Agent) escape(ctx context.Context, h *held, times int) *held {
	if !h.link.Doubtful() {
		return nil
	}
	if s := a.promoted(); s != nil {
		return s
	}
	i := a.passes.identity()
	a.relays.update(i.Relays)
	to := a.relays
	for range times {
		to.next()
	}
	addr, ok := to.current()
	if !ok {
		return nil
	}
	a.log.Info("the relay does not answer, another is tried", zap.String("relay", string(h.relay)), zap.String("addr", addr))
	l, err := a.line.dial(ctx, addr, i.Pass.Token)
	if err != nil {
		a.met.failed(err)
		return nil
	}
	if h.alive() && !h.link.Doubtful() {
		a.hangUp(ctx, l) // nothing was said of it yet, so h stays the device's tunnel
		return nil
	}
	a.relays = to
	a.relays.arrived()
	return a.start(ctx, l)
}

// afterFailure says how long to wait before the next attempt, and gets what
// that needs from control: another pass, or to know which relays live. elsewhere
// goes on to the next relay of the list.
func (a *Agent) afterFailure(ctx context.Context, err error, retry *backoff, elsewhere bool) time.Duration {
	if ctx.Err() != nil {
		return 0
	}
	v := judge(err)
	ours := v.code == fault.Replaced && time.Since(a.left) < ownMove
	if ours {
		// Where NATS has lost all and relays tell it anew, or hears late of what was just
		// left, that may be taken for the newer one.
		v.state, v.slow, v.reason = Connecting, false, "a relay took the tunnel that this one followed for the newer"
	}
	if v.moved {
		a.passes.spent()
	}
	wrapped := elsewhere && a.relays.next()
	if v.renew || wrapped && retry.n >= askAfter && !v.slow {
		// The renewal's own error counts only where it says more: that control
		// is away too is no news to who cannot reach a relay.
		if rerr := a.askControl(ctx); fault.CodeOf(rerr) == fault.DeviceRemoved {
			v = judge(rerr)
		}
	}
	wait := hinted(retry.next(), v.hint)
	switch {
	case v.slow:
		wait = slow()
	case ours: // no relay is in trouble, and there may be no other tunnel
		wait = between(0, retryBase)
	}
	a.state.trouble(v, a.tried, wait)
	fields := []zap.Field{
		zap.String("state", string(v.state)), zap.String("code", string(v.code)), zap.String("reason", v.reason),
		zap.Int64("wait_ms", wait.Milliseconds()),
	}
	if v.slow {
		a.log.Warn("not connected", fields...)
	} else {
		a.log.Info("not connected", fields...)
	}
	return wait
}

// askControl does not wait for a control that hangs: the relay may be back.
func (a *Agent) askControl(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return a.passes.renew(ctx)
}

// beforeMove spreads the agents of a relay that drains over the time it gives
// them. One that drains tunnels as fast as they come is met with the backoff.
func (a *Agent) beforeMove(d tunnel.Drain, retry *backoff) time.Duration {
	wait := between(0, min(max(d.Within, 0), maxHint)+1)
	if retry.n > 0 {
		wait = max(wait, retry.next())
	} else {
		retry.n++
	}
	a.log.Info("relay asks to move", zap.Int64("wait_ms", wait.Milliseconds()), zap.Int64("deadline_ms", d.Deadline.Milliseconds()))
	return wait
}

func (a *Agent) wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

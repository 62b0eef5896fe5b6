package agent

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/tunnel"
)

const (
	// homeTime bounds for how long a tunnel is sought where the device should be: what
	// else happens to the one there is waits for that.
	homeTime = 20 * time.Second
	// homeTries are as many addresses as are tried in it.
	homeTries = 16
	// homeSpacing is between two attempts to get to the same region, whatever relays
	// say: one that takes tunnels and falls is not followed each time.
	homeSpacing = 10 * time.Minute
)

// homeward is when a tunnel was last sought in a region.
type homeward struct {
	region string
	at     time.Time
}

// due reports whether it may be sought now, and notes that.
func (w *homeward) due(region string) bool {
	now := time.Now()
	if w.region == region && !w.at.IsZero() && now.Sub(w.at) < homeSpacing {
		return false
	}
	w.region, w.at = region, now
	return true
}

// goHome is the tunnel at one of the relays where h's relay says that the device
// should be, by one attempt with each: the second one, if it is there, or a new one.
// It gives nil if none takes it, and then h serves on.
func (a *Agent) goHome(ctx context.Context, h *held, to tunnel.Home, last *homeward) *held {
	i := a.passes.identity()
	if !last.due(i.Region) {
		return nil
	}
	if _, s := a.second.now(); s != nil && slices.Contains(to.Relays, s.addr) {
		if s := a.promoted(); s != nil {
			return s
		}
	}
	within, cancel := a.homeward(ctx, h)
	defer cancel()
	for _, addr := range to.Relays[:min(len(to.Relays), homeTries)] {
		if within.Err() != nil {
			break
		}
		a.tried = addr
		l, err := a.line.dial(within, addr, i.Pass.Token)
		if err != nil {
			a.met.failed(err)
			a.log.Info("a relay where this PBX should be does not take it", zap.String("addr", addr), zap.Error(err))
			continue
		}
		if l.Welcome().Relay == h.relay { // by another name, or by a name that all have
			a.hangUp(ctx, l)
			continue
		}
		a.log.Info("going to where this PBX should be", zap.String("addr", addr), zap.String("region", i.Region))
		a.relays.update(i.Relays)
		a.relays.settle(addr)
		return a.start(ctx, l)
	}
	return nil
}

// goHomeSecond is goHome for the second tunnel.
func (a *Agent) goHomeSecond(ctx context.Context, h *held, to tunnel.Home, last *homeward) {
	if !last.due(a.passes.identity().Region) {
		return
	}
	within, cancel := a.homeward(ctx, h)
	defer cancel()
	for _, addr := range to.Relays[:min(len(to.Relays), homeTries)] {
		if within.Err() != nil {
			return
		}
		err := a.openSecond(ctx, within, addr)
		if err == nil {
			return
		}
		a.log.Info("a relay where the second tunnel should be does not take it", zap.String("addr", addr), zap.Error(err))
	}
}

// homeward is for seeking a tunnel while there is h: nobody who has lost it, or whose
// relay does not answer any more, has time for that.
func (a *Agent) homeward(ctx context.Context, h *held) (within context.Context, cancel context.CancelFunc) {
	within, cancel = context.WithTimeout(ctx, homeTime)
	a.wg.Go(func() {
		look := time.NewTicker(time.Second)
		defer look.Stop()
		for h.answers() {
			select {
			case <-h.done:
			case <-look.C:
			case <-within.Done():
				return
			}
		}
		cancel()
	})
	return within, cancel
}

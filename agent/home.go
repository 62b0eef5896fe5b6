package agent

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/tunnel"
)

// homeTime bounds for how long a tunnel is sought where the device should be: what
// else happens to the one there is waits for that.
const homeTime = 20 * time.Second

// goHome is the tunnel at one of the relays where h's relay says that the device
// should be, by one attempt with each: the second one, if it is there, or a new one.
// It gives nil if none takes it, and then h serves on.
func (a *Agent) goHome(ctx context.Context, h *held, to tunnel.Home) *held {
	if a.secondAmong(to.Relays) {
		if s := a.promoted(); s != nil {
			return s
		}
	}
	within, cancel := context.WithTimeout(ctx, homeTime)
	defer cancel()
	a.wg.Go(func() { // whoever has lost his tunnel has no time for this
		select {
		case <-h.done:
			cancel()
		case <-within.Done():
		}
	})
	i := a.passes.identity()
	for _, addr := range to.Relays {
		if within.Err() != nil {
			break
		}
		l, err := a.line.dial(within, addr, i.Pass.Token)
		if err != nil {
			a.met.failed(err)
			a.log.Info("a relay where this PBX should be does not take it", zap.String("addr", addr), zap.Error(err))
			continue
		}
		a.log.Info("going to where this PBX should be", zap.String("addr", addr), zap.String("region", i.Region))
		a.relays.update(i.Relays)
		a.relays.settle(addr)
		return a.start(ctx, l)
	}
	return nil
}

// secondAmong reports whether the second tunnel is at one of these addresses.
func (a *Agent) secondAmong(addrs []string) bool {
	_, h := a.second.now()
	return h != nil && slices.ContainsFunc(a.passes.identity().Second, func(p tunnel.Place) bool {
		return p.Relay == h.relay && slices.Contains(addrs, p.Addr)
	})
}

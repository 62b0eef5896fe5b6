package target

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"trunkline/internal/controlapi"
	"trunkline/internal/service"
)

// Balancer sends each new connection to a relay that is ready, as a load
// balancer does that asks /readyz, and on to another one where that refuses it,
// as browsers do with a name that has several addresses.
type Balancer struct {
	ways Ways

	mu    sync.Mutex
	ready []bool // by number of the relay
}

func NewBalancer(w Ways) *Balancer {
	b := &Balancer{ways: w, ready: make([]bool, len(w.Relays))}
	for i := range b.ready {
		b.ready[i] = true
	}
	return b
}

const (
	// askReady is how often, and askTime how long, a relay is asked.
	askReady = 250 * time.Millisecond
	askTime  = 2 * time.Second
)

// Run asks until ctx ends.
func (b *Balancer) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for i, w := range b.ways.Relays {
		wg.Go(func() {
			for tick := time.NewTicker(askReady); ; {
				ask, cancel := context.WithTimeout(ctx, askTime)
				err := service.Ready(ask, w.Admin)
				cancel()
				b.mu.Lock()
				b.ready[i] = err == nil
				b.mu.Unlock()
				select {
				case <-tick.C:
				case <-ctx.Done():
					tick.Stop()
					return
				}
			}
		})
	}
}

// Dial is for a transport.
func (b *Balancer) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	usual := controlapi.LoopbackDialer()
	if _, port, err := net.SplitHostPort(addr); err != nil || port != b.ways.Port {
		return usual(ctx, network, addr)
	}
	var errs []error
	for _, i := range b.order() {
		c, err := usual(ctx, network, b.ways.Relays[i].Addr)
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// order is the relays, at random, those that are ready first.
func (b *Balancer) order() (out []int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var rest []int
	for _, i := range rand.Perm(len(b.ready)) {
		if b.ready[i] {
			out = append(out, i)
		} else {
			rest = append(rest, i)
		}
	}
	return append(out, rest...)
}

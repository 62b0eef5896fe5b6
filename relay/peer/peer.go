package peer

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/bus"
	"trunkline/internal/evtls"
	"trunkline/internal/id"
)

// peer is another relay.
type peer struct {
	all  *Peers
	name id.Relay

	mu      sync.Mutex // guards what follows
	lease   bus.Lease
	heard   time.Time // of the lease
	gone    bool      // its lease has ended: what links there are serve on
	links   []*link
	changed chan struct{} // closed when any of these changes
}

func (p *peer) tellLocked() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// add takes a link in, unless there are too many.
func (p *peer) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.links) >= 2*MaxLinks {
		return false
	}
	p.links = append(p.links, l)
	p.tellLocked()
	return true
}

func (p *peer) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links = slices.DeleteFunc(p.links, func(x *link) bool { return x == l })
	p.tellLocked()
}

// best is the link with the fewest streams of ours, of those that are not in doubt
// if there are any; nil if there is none, and then changed is closed when there
// may be.
func (p *peer) best() (l *link, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.links {
		if !x.ending.Load() && (l == nil || x.isBetter(l)) {
			l = x
		}
	}
	return l, p.changed
}

func (l *link) isBetter(o *link) bool {
	if x, y := l.doubted.Load(), o.doubted.Load(); x != y {
		return y
	}
	return l.opened.Load() < o.opened.Load()
}

const (
	redialFirst = 100 * time.Millisecond // doubles
	redialMost  = 10 * time.Second
	// secondDials is how long the relay whose name comes second leaves dialling
	// to the other one. It is there for networks that one side cannot cross.
	secondDials = 3 * time.Second
)

// keep holds as many links as there shall be, until ctx ends.
func (p *peer) keep(ctx context.Context) {
	if p.all.o.Relay > p.name && !pause(ctx, secondDials) {
		return
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wait := redialFirst
	for ctx.Err() == nil {
		addr, changed := p.wants()
		if addr == "" {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		l, err := p.dial(ctx, addr)
		if err != nil {
			p.all.metrics.failed(p.name, ctx.Err() == nil)
			p.all.o.Log.Debug("relay not reached", zap.String("peer", string(p.name)), zap.String("addr", addr), zap.Error(err))
			pause(ctx, rand.N(wait)+wait/10)
			wait = min(2*wait, redialMost)
			continue
		}
		wait = redialFirst
		wg.Go(func() { p.all.hold(p, l) })
	}
}

// wants is where to dial for another link; "" if there are enough, or nowhere.
func (p *peer) wants() (addr string, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gone && len(p.links) < p.all.o.Links && slices.Contains(p.lease.PeerVersions, Versions[0]) {
		addr = p.lease.Peer
	}
	return addr, p.changed
}

// dial makes a link, which the caller holds.
func (p *peer) dial(ctx context.Context, addr string) (*link, error) {
	if _, err := p.all.identity.current(); err != nil {
		return nil, err
	}
	dctx, cancel := context.WithTimeout(ctx, 2*dialTime)
	defer cancel()
	d := net.Dialer{Timeout: dialTime}
	c, err := d.DialContext(dctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	t := tls.Client(evtls.NewConn(p.all.o.Poller, c), p.all.identity.client(p.name))
	if err := t.HandshakeContext(dctx); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("tls: %w", err)
	}
	l := newLink(ctx, p.all, p.name, t, true)
	if !p.add(l) {
		l.stop()
		_ = c.Close()
		return nil, errFull
	}
	return l, nil
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

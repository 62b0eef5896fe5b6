package evtls

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// Poller tells watched connections that there is something to read.
type Poller struct {
	loops []*loop // none: every connection gets a goroutine
	why   error   // there are none
	next  atomic.Uint32
	wg    sync.WaitGroup // of those goroutines
}

// New makes a Poller of n loops, or as many as Go uses cores if n is 0. It
// never fails: see Err.
func New(n int) *Poller {
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	p := new(Poller)
	if p.why = checked(); p.why != nil {
		return p
	}
	for range n {
		l, err := newLoop()
		if err != nil {
			p.closeLoops()
			p.loops, p.why = nil, err
			return p
		}
		p.loops = append(p.loops, l)
	}
	return p
}

// NewBlocking makes a Poller that gives each connection a goroutine.
func NewBlocking() *Poller { return new(Poller) }

// Err is why connections get a goroutine each, if they do for want of better.
func (p *Poller) Err() error { return p.why }

// Run serves the connections until ctx ends. Those that are still watched hear
// nothing after that: close them before.
func (p *Poller) Run(ctx context.Context) error {
	defer p.wg.Wait()
	g, ctx := errgroup.WithContext(ctx) // one that fails is the end of all
	for _, l := range p.loops {
		g.Go(l.run)
	}
	<-ctx.Done()
	p.closeLoops()
	return g.Wait()
}

// Close frees a Poller that never ran.
func (p *Poller) Close() error { p.closeLoops(); return nil }

func (p *Poller) closeLoops() {
	for _, l := range p.loops {
		l.close()
	}
}

// goroutine serves one connection by reading it in blocking mode.
type goroutine struct{ woken chan struct{} }

func (g goroutine) wake(*Conn) {
	select {
	case g.woken <- struct{}{}:
	default:
	}
}

func (g goroutine) watch(*Conn) error { return errWatched }
func (g goroutine) forget(*Conn)      {}
func (g goroutine) later(f func())    { f() }

// serve calls ready as a loop does, and for the last time after Close.
func (g goroutine) serve(c *Conn) {
	for {
		closed := c.closed.Load()
		again := c.ready()
		switch {
		case closed:
			return
		case !again:
			<-g.woken
		}
	}
}

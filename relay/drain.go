package relay

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"trunkline/internal/fault"
	"trunkline/internal/service"
	"trunkline/relay/edge"
)

// drains is whether and since when a relay drains.
type drains struct {
	asked chan struct{} // closed by the first begin

	mu    sync.Mutex // guards what follows
	since time.Time  // zero: it does not
}

func newDrains() *drains { return &drains{asked: make(chan struct{})} }

// begin may be called again, which changes nothing.
func (d *drains) begin(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.since.IsZero() {
		d.since = now
		close(d.asked)
	}
}

func (d *drains) began() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.since
}

func (d *drains) begun() bool { return !d.began().IsZero() }

// drain empties the relay, in this order:
//
//  1. It is not ready, its lease says so, new tunnels are refused and agents are
//     asked to move. Browsers are served as ever, those too that come now: who
//     sends them here has not looked yet. Each answer ends its connection, so
//     that the next request goes elsewhere.
//  2. After drain.linger the listeners are closed, and connections on which
//     nothing runs.
//  3. What runs has its time, until drain.deadline. Then WebSockets say goodbye,
//     those too that come through other relays, and the rest is cut.
//  4. The bus is told of the last routes, and control what visits have sent and got.
func (r *Relay) drain(ctx context.Context, shutPlain func()) {
	began, cfg := r.drains.began(), r.drainAs.Load()
	r.renew() // the lease says so at once
	r.log.Info("draining", zap.Int("tunnels", r.uplink.Count()), zap.Duration("deadline", cfg.Deadline))
	r.edge.Retire()
	until, cancel := context.WithDeadline(ctx, began.Add(cfg.Deadline))
	defer cancel()
	defer context.AfterFunc(until, r.peers.TellClosing)()
	tunnels, cancelTunnels := context.WithDeadline(ctx, began.Add(cfg.Deadline+edge.Farewell))
	defer cancelTunnels()
	unneeded := make(chan struct{})
	var g errgroup.Group
	g.Go(func() error { r.uplink.Drain(tunnels, cfg.Spread, unneeded); return nil })
	g.Go(func() error {
		defer close(unneeded)
		pause(until, cfg.Linger)
		_ = r.ln.Close()
		shutPlain()
		r.public.shaking.settle(until)
		return r.edge.Drain(until)
	})
	if err := g.Wait(); err != nil {
		r.log.Warn("drain cut what still ran at the deadline", zap.Error(err))
	}
	r.trust.ReportTraffic()
	last, done := context.WithTimeout(ctx, 2*time.Second)
	defer done()
	if err := r.announce.Flush(last); err != nil {
		r.log.Warn("the bus did not hear of the last routes", zap.Error(err))
	}
	r.reports.settle(last)
	r.log.Info("drained", zap.Int64("dur_ms", time.Since(began).Milliseconds()))
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// DrainPage is the admin listener's /drain. POST begins a drain, as SIGTERM
// does, and is not undone; both it and GET answer with how the drain stands, a
// service.Drain. A browser's POST is refused: any page could send one. So is one
// from another machine: who may read metrics there is not who may end a relay.
func (r *Relay) DrainPage() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		switch {
		case q.Method == http.MethodPost && q.Header.Get("Origin") != "":
			http.Error(w, "not for browsers", http.StatusForbidden)
			return
		case q.Method == http.MethodPost && !fromHere(q):
			fault.ProblemOf(fault.New(fault.Forbidden,
				"A relay is drained on its own machine: run `trunkline relay drain` there, or send the process SIGTERM."), "").Write(w)
			return
		case q.Method == http.MethodPost:
			r.drains.begin(time.Now())
		case q.Method != http.MethodGet:
			w.Header().Set("Allow", "GET, POST")
			http.Error(w, "GET or POST", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(r.drainState(time.Now())) // who asked is gone if this fails
	})
}

// fromHere reports whether a request comes from this machine: by loopback, or from the
// very address that it went to.
func fromHere(q *http.Request) bool {
	from, err := netip.ParseAddrPort(q.RemoteAddr)
	if err != nil {
		return false
	}
	to, ok := q.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return from.Addr().Unmap().IsLoopback() || ok && to.AddrPort().Addr().Unmap() == from.Addr().Unmap()
}

func (r *Relay) drainState(now time.Time) service.Drain {
	n := r.edge.Count()
	s := service.Drain{
		Relay: string(r.o.Name), Tunnels: r.uplink.Count(), Requests: n.Requests, Downloads: n.Downloads, WebSockets: n.Upgraded,
	}
	if began := r.drains.began(); !began.IsZero() {
		s.Draining, s.Left = true, max(began.Add(r.drainAs.Load().Deadline).Sub(now), 0).Seconds()
	}
	return s
}

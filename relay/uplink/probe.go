package uplink

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

const (
	// probeTime is what a portal gets to begin its answer. It gets it twice
	// before it is said not to answer.
	probeTime = 4 * time.Second
	// probesAtOnce bounds what probes take of the relay; more wait.
	probesAtOnce = 64
	// sickEvery is how often a portal that does not answer is asked again.
	sickEvery = 5 * time.Second
	maxDoubts = 1024
)

// prober asks portals, through their tunnels, whether they answer: each once in
// a period, and at once where somebody doubts it. One goroutine paces them all,
// so that an idle tunnel has no timer and no memory of it.
type prober struct {
	u      *Uplink
	doubts chan id.Device
	slots  chan struct{}
	wg     sync.WaitGroup

	mu      sync.Mutex // guards what follows
	running map[id.Device]struct{}
	sick    map[id.Device]struct{}
}

func newProber(u *Uplink) *prober {
	return &prober{
		u: u, doubts: make(chan id.Device, maxDoubts), slots: make(chan struct{}, probesAtOnce),
		running: make(map[id.Device]struct{}), sick: make(map[id.Device]struct{}),
	}
}

// Doubt has a device's portal asked soon: somebody's request to it has failed.
// It never blocks; where too many are in doubt the period's turn comes anyway.
func (u *Uplink) Doubt(d id.Device) {
	select {
	case u.prober.doubts <- d:
	default:
	}
}

// probe asks portals until ctx ends.
func (u *Uplink) probe(ctx context.Context) {
	p := u.prober
	defer p.wg.Wait()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	sick := time.NewTicker(sickEvery)
	defer sick.Stop()
	var round []id.Device // whose turn is still to come in this period
	owed := 0.0           // probes that the past seconds have left
	for {
		select {
		case <-ctx.Done():
			return
		case d := <-p.doubts:
			p.begin(ctx, d)
		case <-sick.C:
			for _, d := range p.theSick() {
				p.begin(ctx, d)
			}
		case <-tick.C:
			if u.o.Probe == 0 {
				continue
			}
			for owed += float64(u.Count()) / u.o.Probe.Seconds(); owed >= 1; owed-- {
				if len(round) == 0 {
					u.links.Range(func(d id.Device, _ *link) bool { round = append(round, d); return true })
				}
				if len(round) == 0 {
					break
				}
				p.begin(ctx, round[len(round)-1])
				round = round[:len(round)-1]
			}
			owed = min(owed, 1)
		}
	}
}

func (p *prober) theSick() (out []id.Device) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for d := range p.sick {
		out = append(out, d)
	}
	return out
}

// begin probes a device, unless that is being done or there are too many: the
// next turn is as good.
func (p *prober) begin(ctx context.Context, d id.Device) {
	l, ok := p.u.links.Load(d)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !ok {
		delete(p.sick, d)
		return
	}
	if _, ok := p.running[d]; ok {
		return
	}
	select {
	case p.slots <- struct{}{}:
	default:
		return
	}
	p.running[d] = struct{}{}
	p.wg.Go(func() {
		p.probe(ctx, l)
		<-p.slots
	})
}

func (p *prober) probe(ctx context.Context, l *link) {
	code, known := l.ask(ctx)
	if code != "" { // once is no proof: a portal may be starting, or busy
		code, known = l.ask(ctx)
	}
	result := string(code)
	switch {
	case !known:
		result = "unknown"
	case code == "":
		result = "ok"
	}
	p.u.metrics.probes.WithLabelValues(result).Inc()
	if known {
		p.u.judge(l, code)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.running, l.device)
	switch {
	case !known:
	case code == "":
		delete(p.sick, l.device)
	default:
		p.sick[l.device] = struct{}{}
	}
}

// judge announces what a probe has found, if it is news.
func (u *Uplink) judge(l *link, code fault.Code) {
	u.words.Lock()
	defer u.words.Unlock()
	r, said := l.route()
	if now, ok := u.links.Load(l.device); l.fault == code || !ok || now != l || !said {
		return
	}
	l.fault, r.Fault = code, code
	u.o.Announce(r)
}

// ask sends the portal a request that changes nothing, and waits for the first
// word of an answer, whatever it is. It is not known whether the portal answers
// if the tunnel ends, moves, or has no room.
func (l *link) ask(ctx context.Context) (code fault.Code, known bool) {
	r, ok := l.route()
	if !ok || r.Portal.Origin == "" || l.leaving.Load() {
		return "", false
	}
	origin, err := url.Parse(r.Portal.Origin)
	if err != nil {
		return "", false
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	s, err := l.relay.Open(ctx, tunnel.Header{Service: tunnel.ServicePortal})
	if err == nil {
		err = exchange(ctx, s, origin.Host)
	}
	var f *fault.Error
	var late net.Error
	switch {
	case err == nil:
		return "", true
	case errors.As(err, &f):
		switch f.Code {
		case fault.PortalRefused, fault.PortalTimeout, fault.PortalReset, fault.PortalGarbage:
			return f.Code, true
		}
		return "", false
	case errors.Is(ctx.Err(), context.DeadlineExceeded), ctx.Err() == nil && errors.As(err, &late) && late.Timeout():
		return fault.PortalTimeout, true
	}
	return "", false
}

var errNoHTTP = fault.New(fault.PortalGarbage, "The answer is not HTTP.")

func exchange(ctx context.Context, s *tunnel.Stream, host string) error {
	defer s.Reset() // nobody waits for the rest
	if end, ok := ctx.Deadline(); ok {
		if err := s.SetDeadline(end); err != nil {
			return err
		}
	}
	defer context.AfterFunc(ctx, s.Reset)()
	if _, err := io.WriteString(s, "HEAD / HTTP/1.1\r\nHost: "+host+"\r\nUser-Agent: trunkline-probe\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	var b [5]byte
	switch _, err := io.ReadFull(s, b[:]); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fault.New(fault.PortalReset, "The portal closed the connection without an answer.")
	case err != nil:
		return err
	case !bytes.Equal(b[:], []byte("HTTP/")):
		return errNoHTTP
	}
	return nil
}

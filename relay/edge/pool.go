package edge

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// pool holds streams between requests: a portal's keep-alive connections. A
// stream serves the visit it was opened for only, since the agent knows the
// visitor by the stream's header.
//
// Every request comes here twice, so a device has one of many shelves, and no
// lock is all devices'.
type pool struct {
	limits  Limits
	dial    func(context.Context, id.Device, Header) (Stream, error)
	m       *metrics
	seed    maphash.Seed
	shelves [64]shelf
}

func newPool(l Limits, dial func(context.Context, id.Device, Header) (Stream, error), m *metrics) *pool {
	p := &pool{limits: l, dial: dial, m: m, seed: maphash.MakeSeed()}
	for i := range p.shelves {
		s := &p.shelves[i]
		s.limits, s.m, s.devices = &p.limits, m, make(map[id.Device]*streams)
		s.timer = time.AfterFunc(time.Hour, s.sweep)
		s.timer.Stop()
	}
	return p
}

// tellCrowds must be called before there are any.
func (p *pool) tellCrowds(crowded func(id.Device)) {
	for i := range p.shelves {
		p.shelves[i].crowded = crowded
	}
}

func (p *pool) shelf(d id.Device) *shelf {
	return &p.shelves[maphash.String(p.seed, string(d))%uint64(len(p.shelves))]
}

// freshEnough is how long a stream may have been idle to be trusted with a
// request that must not be sent twice: less than any portal's keep-alive.
const freshEnough = 2 * time.Second

// taker is who takes a stream, of whom more is asked if a new one is opened.
type taker interface {
	pay() error                     // its quotas allow one
	waits(leave context.CancelFunc) // from now on, until leave is called; nil: no more
}

// take gives a stream for one exchange: an idle one of at most maxIdle if
// there is one, or else a new one. Every take ends in a put or a drop.
func (p *pool) take(h Header, device id.Device, maxIdle time.Duration, who taker) (*link, error) {
	l, out, age, err := p.reserve(device, h.Visit, maxIdle)
	if l != nil || err != nil {
		return l, err
	}
	if out != nil {
		_ = out.Close()
	}
	if err := who.pay(); err != nil {
		p.shelf(device).release(device)
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.limits.Dial+Elsewhere)
	defer cancel()
	who.waits(cancel)
	s, err := p.dial(ctx, device, h)
	who.waits(nil)
	if err != nil {
		p.shelf(device).release(device)
		return nil, dialFault(err)
	}
	p.m.opened.Inc()
	l = newLink(s, device, h.Visit, p.limits.Progress)
	l.age = age
	return l, nil
}

// reserve waits for the room that lodged streams give.
func (p *pool) reserve(device id.Device, v id.Visit, maxIdle time.Duration) (l, out *link, age uint32, err error) {
	s := p.shelf(device)
	l, out, age, err = s.reserve(device, v, maxIdle)
	if err != nil {
		if room := s.await(device); room != nil {
			defer s.awaited(device)
			again := time.NewTicker(askAgain) // each try has those who keep streams asked for them
			defer again.Stop()
			for late := time.Now().Add(giveRoom); err != nil && time.Now().Before(late); {
				select {
				case <-room:
				case <-again.C:
				}
				l, out, age, err = s.reserve(device, v, maxIdle)
			}
		}
	}
	if err != nil {
		p.m.limited.WithLabelValues("device_streams").Inc()
	}
	return l, out, age, err
}

// tryTake gives a stream that is there and that a loop can drive; nil if there
// is none. It takes as take does.
func (p *pool) tryTake(v id.Visit, device id.Device) *link {
	s := p.shelf(device)
	l, out, _, err := s.reserve(device, v, p.limits.StreamIdle)
	switch {
	case err != nil:
		return nil // whoever takes one for it will hear that
	case l != nil && l.drivable():
		return l
	case l != nil:
		p.putBack(l)
		return nil
	case out != nil:
		_ = out.Close() // its room is for the one that will be opened
	}
	s.release(device)
	return nil
}

// putBack takes a stream back that was not used.
func (p *pool) putBack(l *link) {
	if out := p.shelf(l.device).put(l); out != nil {
		_ = out.Close()
	}
}

func dialFault(err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	return fmt.Errorf("dial: %w", errors.Join(fault.New(fault.NotConnected, "The PBX could not be reached: its connection has just been lost.").After(5*time.Second), err))
}

// put takes a stream back whose answer has been read to its end.
func (p *pool) put(l *link) {
	if len(l.buf) != 0 && l.r != l.w {
		p.drop(l) // the portal said more than it was asked: it cannot be trusted with the next request
		return
	}
	l.drop()
	l.used, l.idleAt, l.armedR = true, time.Now(), time.Time{}
	p.putBack(l)
}

// drop ends a stream that is in the middle of something.
func (p *pool) drop(l *link) {
	l.Reset()
	l.drop()
	p.shelf(l.device).release(l.device)
}

// finish ends a stream in order.
func (p *pool) finish(l *link) {
	_ = l.Close()
	l.drop()
	p.shelf(l.device).release(l.device)
}

// forget closes the idle streams of a device, and those in use when they come
// back.
func (p *pool) forget(device id.Device) {
	for _, l := range p.shelf(device).forget(device) {
		_ = l.Close()
	}
}

// close ends what is idle, and what comes back later at once.
func (p *pool) close() {
	for i := range p.shelves {
		p.shelves[i].close()
	}
}

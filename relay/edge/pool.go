package edge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// pool holds streams between requests: a portal's keep-alive connections. A
// stream serves the visit it was opened for only, since the agent knows the
// visitor by the stream's header.
//
// It has no goroutine: a timer sweeps while anything is idle.
type pool struct {
	limits Limits
	dial   func(context.Context, id.Device, Header) (Stream, error)
	m      *metrics

	mu      sync.Mutex // guards what follows
	devices map[id.Device]*streams
	idle    int
	timer   *time.Timer
	closed  bool
}

// streams of one device.
type streams struct {
	active int
	idle   []*link // the longest idle first
}

func newPool(l Limits, dial func(context.Context, id.Device, Header) (Stream, error), m *metrics) *pool {
	p := &pool{limits: l, dial: dial, m: m, devices: make(map[id.Device]*streams)}
	p.timer = time.AfterFunc(time.Hour, p.sweep)
	p.timer.Stop()
	return p
}

// freshEnough is how long a stream may have been idle to be trusted with a
// request that must not be sent twice: less than any portal's keep-alive.
const freshEnough = 2 * time.Second

// take gives a stream for one exchange: an idle one of at most maxIdle if
// there is one, or else a new one. Every take ends in a put or a drop.
func (p *pool) take(h Header, device id.Device, maxIdle time.Duration) (*link, error) {
	l, err := p.reserve(device, h.Visit, maxIdle)
	if l != nil || err != nil {
		return l, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.limits.Dial)
	defer cancel()
	s, err := p.dial(ctx, device, h)
	if err != nil {
		p.release(device)
		return nil, dialFault(err)
	}
	p.m.opened.Inc()
	return &link{Stream: s, device: device, visit: h.Visit, limit: p.limits.Progress}, nil
}

func dialFault(err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	return fmt.Errorf("dial: %w", errors.Join(fault.New(fault.NotConnected, "The PBX could not be reached: its connection has just been lost.").After(5*time.Second), err))
}

// reserve counts the caller in and looks for an idle stream.
func (p *pool) reserve(device id.Device, visit id.Visit, maxIdle time.Duration) (*link, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.devices[device]
	if d == nil {
		d = &streams{}
		p.devices[device] = d
	}
	if d.active >= p.limits.StreamsPerDevice {
		return nil, fault.New(fault.TooMany, "Too many requests to this PBX at once. Try again.").After(time.Second)
	}
	d.active++
	now := time.Now()
	for i := len(d.idle) - 1; i >= 0; i-- {
		l := d.idle[i]
		if now.Sub(l.idleAt) > maxIdle {
			break // the others are older
		}
		if l.visit != visit {
			continue
		}
		d.remove(i)
		p.idle--
		p.m.idle.Dec()
		if l.Alive() {
			return l, nil
		}
		l.Reset()
	}
	return nil, nil
}

func (d *streams) remove(i int) {
	copy(d.idle[i:], d.idle[i+1:])
	d.idle[len(d.idle)-1] = nil
	d.idle = d.idle[:len(d.idle)-1]
}

// put takes a stream back whose answer has been read to its end.
func (p *pool) put(l *link) {
	if len(l.buf) != 0 && l.r != l.w {
		p.drop(l) // the portal said more than it was asked: it cannot be trusted with the next request
		return
	}
	l.drop()
	l.used, l.idleAt, l.armedR = true, time.Now(), time.Time{}
	p.mu.Lock()
	d := p.devices[l.device]
	p.releaseLocked(l.device, d)
	var out *link
	switch {
	case p.closed, !l.Alive(): // a device that takes its leave has been forgotten before, perhaps
		out = l
	default:
		if len(d.idle) >= p.limits.IdlePerDevice {
			out = d.idle[0]
			d.remove(0)
			p.idle--
			p.m.idle.Dec()
		}
		d.idle = append(d.idle, l)
		p.devices[l.device] = d
		if p.idle++; p.idle == 1 {
			p.timer.Reset(p.limits.StreamIdle / 4)
		}
		p.m.idle.Inc()
	}
	p.mu.Unlock()
	if out != nil {
		_ = out.Close()
	}
}

// drop ends a stream that is in the middle of something.
func (p *pool) drop(l *link) {
	l.Reset()
	l.drop()
	p.release(l.device)
}

// finish ends a stream in order.
func (p *pool) finish(l *link) {
	_ = l.Close()
	l.drop()
	p.release(l.device)
}

func (p *pool) release(device id.Device) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.releaseLocked(device, p.devices[device])
}

func (p *pool) releaseLocked(device id.Device, d *streams) {
	d.active--
	if d.active == 0 && len(d.idle) == 0 {
		delete(p.devices, device)
	}
}

// forget closes the idle streams of a device.
func (p *pool) forget(device id.Device) {
	p.mu.Lock()
	var out []*link
	if d := p.devices[device]; d != nil {
		out, d.idle = d.idle, nil
		p.idle -= len(out)
		p.m.idle.Sub(float64(len(out)))
		if d.active == 0 {
			delete(p.devices, device)
		}
	}
	p.mu.Unlock()
	for _, l := range out {
		_ = l.Close()
	}
}

// sweep closes what has been idle for too long.
func (p *pool) sweep() {
	var out []*link
	p.mu.Lock()
	now := time.Now()
	for device, d := range p.devices {
		for len(d.idle) > 0 && (p.closed || now.Sub(d.idle[0].idleAt) > p.limits.StreamIdle) {
			out = append(out, d.idle[0])
			d.remove(0)
			p.idle--
			p.m.idle.Dec()
		}
		if d.active == 0 && len(d.idle) == 0 {
			delete(p.devices, device)
		}
	}
	if p.idle > 0 {
		p.timer.Reset(p.limits.StreamIdle / 4)
	}
	p.mu.Unlock()
	for _, l := range out {
		_ = l.Close()
	}
}

// close ends what is idle, and what comes back later at once.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.timer.Stop()
	p.mu.Unlock()
	p.sweep()
}

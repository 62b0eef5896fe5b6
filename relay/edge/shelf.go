package edge

import (
	"sync"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// shelf is the streams of some devices. It has no goroutine: a timer sweeps
// while anything is idle.
type shelf struct {
	limits  *Limits
	m       *metrics
	crowded func(id.Device) // see Options.Crowded; nil: nobody wants to know

	mu      sync.Mutex // guards what follows
	devices map[id.Device]*streams
	idle    int
	timer   *time.Timer
	closed  bool
}

// surplusIdle is how long streams beyond Limits.IdlePerDevice are kept: requests
// come and end in crowds, and one that is closed between two crowds is opened
// again by the next.
const surplusIdle = time.Second

// streams of one device.
type streams struct {
	active int
	lodged int       // of the active, those that another relay's browsers use or may use again
	asked  time.Time // when crowded was last called
	idle   []*link   // the longest idle first
	// waiting are requests for which there was no room, and room has a token for one
	// of them when there may be; nil until somebody waited.
	waiting int
	room    chan struct{}
	age     uint32 // grows when the device is forgotten: older streams do not come back
}

const (
	askAgain = 250 * time.Millisecond
	// giveRoom is how long who has lodged streams may take to close the idle ones.
	giveRoom = time.Second
)

// reserve counts the caller in and looks for an idle stream; if there is none,
// out is one to close when the caller opens another, of this age: the agent
// counts idle ones too.
func (s *shelf) reserve(device id.Device, visit id.Visit, maxIdle time.Duration) (l, out *link, age uint32, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.enterLocked(device)
	if err != nil {
		return nil, nil, 0, err
	}
	now := time.Now()
	for i := len(d.idle) - 1; i >= 0; i-- {
		l := d.idle[i]
		if now.Sub(l.idleAt) > maxIdle {
			break // the others are older
		}
		if l.visit != visit {
			continue
		}
		s.removeLocked(d, i)
		if l.Alive() {
			return l, nil, d.age, nil
		}
		l.Reset()
	}
	if len(d.idle) > 0 && d.active+len(d.idle) > s.limits.StreamsPerDevice {
		out = d.idle[0]
		s.removeLocked(d, 0)
	}
	return nil, out, d.age, nil
}

// await gives what tells of room for one more stream, where streams of the device
// may be closed before long by who was told that it is crowded, and counts the
// caller as waiting for that until its awaited; else nil.
func (s *shelf) await(device id.Device) (room <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.devices[device]
	if s.crowded == nil || d == nil || d.lodged == 0 || d.waiting >= s.limits.StreamsPerDevice {
		return nil
	}
	if d.room == nil {
		d.room = make(chan struct{}, 1)
	}
	d.waiting++
	d.tellLocked(s.limits.StreamsPerDevice) // of what came since the caller found none
	return d.room
}

func (s *shelf) awaited(device id.Device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.devices[device]
	d.waiting--
	d.tellLocked(s.limits.StreamsPerDevice) // there may be more than the caller took
	s.sweepLocked(device, d)
}

// tellLocked wakes one of those who wait, if there is room.
func (d *streams) tellLocked(limit int) {
	if d.waiting == 0 || d.active >= limit {
		return
	}
	select {
	case d.room <- struct{}{}:
	default:
	}
}

// sweepLocked forgets the device if there is nothing of it.
func (s *shelf) sweepLocked(device id.Device, d *streams) {
	if d.active == 0 && d.waiting == 0 && len(d.idle) == 0 {
		delete(s.devices, device)
	}
}

// enter counts a stream in that another relay keeps, until its leave.
func (s *shelf) enter(device id.Device) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.enterLocked(device)
	if err != nil {
		s.m.limited.WithLabelValues("device_streams").Inc()
		return err
	}
	d.lodged++
	return nil
}

// leave undoes enter.
func (s *shelf) leave(device id.Device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.devices[device]
	d.lodged--
	s.releaseLocked(device, d)
}

func (s *shelf) enterLocked(device id.Device) (*streams, error) {
	d := s.devices[device]
	if d == nil {
		d = &streams{}
		s.devices[device] = d
	}
	if d.lodged > 0 && s.crowded != nil && d.active >= s.limits.StreamsPerDevice/2 {
		if now := time.Now(); now.Sub(d.asked) > askAgain {
			d.asked = now
			s.crowded(device)
		}
	}
	if d.active >= s.limits.StreamsPerDevice {
		return nil, fault.New(fault.TooMany, "Too many requests to this PBX at once. Try again.").After(time.Second)
	}
	d.active++
	return d, nil
}

// removeLocked takes the i-th idle stream off d.
func (s *shelf) removeLocked(d *streams, i int) {
	copy(d.idle[i:], d.idle[i+1:])
	d.idle[len(d.idle)-1] = nil
	d.idle = d.idle[:len(d.idle)-1]
	s.idle--
	s.m.idle.Dec()
}

// put gives a stream to close, if there is one too many.
func (s *shelf) put(l *link) (out *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.devices[l.device]
	s.releaseLocked(l.device, d)
	if s.closed || l.age != d.age || !l.Alive() { // a device that takes its leave has been forgotten before, perhaps
		return l
	}
	if len(d.idle) >= s.limits.IdlePerDevice && (d.active+len(d.idle) >= s.limits.StreamsPerDevice/2 || l.idleAt.Sub(d.idle[0].idleAt) > surplusIdle) {
		out = d.idle[0]
		s.removeLocked(d, 0)
	}
	d.idle = append(d.idle, l)
	s.devices[l.device] = d
	if s.idle++; s.idle == 1 {
		s.timer.Reset(s.limits.StreamIdle / 4)
	}
	s.m.idle.Inc()
	return out
}

func (s *shelf) release(device id.Device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.releaseLocked(device, s.devices[device])
}

func (s *shelf) releaseLocked(device id.Device, d *streams) {
	d.active--
	d.tellLocked(s.limits.StreamsPerDevice)
	s.sweepLocked(device, d)
}

func (s *shelf) forget(device id.Device) (out []*link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.devices[device]; d != nil {
		out, d.idle = d.idle, nil
		d.age++
		s.idle -= len(out)
		s.m.idle.Sub(float64(len(out)))
		s.sweepLocked(device, d)
	}
	return out
}

// sweep closes what has been idle for too long.
func (s *shelf) sweep() {
	for _, l := range s.overdue() {
		_ = l.Close()
	}
}

func (s *shelf) overdue() (out []*link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for device, d := range s.devices {
		for len(d.idle) > 0 && (s.closed || now.Sub(d.idle[0].idleAt) > s.maxIdle(len(d.idle))) {
			out = append(out, d.idle[0])
			s.removeLocked(d, 0)
		}
		s.sweepLocked(device, d)
	}
	if s.idle > 0 {
		s.timer.Reset(s.limits.StreamIdle / 4)
	}
	return out
}

// maxIdle is how long the longest idle of n is kept.
func (s *shelf) maxIdle(n int) time.Duration {
	if n > s.limits.IdlePerDevice {
		return min(surplusIdle, s.limits.StreamIdle)
	}
	return s.limits.StreamIdle
}

func (s *shelf) close() {
	s.mu.Lock()
	s.closed = true
	s.timer.Stop()
	s.mu.Unlock()
	s.sweep()
}

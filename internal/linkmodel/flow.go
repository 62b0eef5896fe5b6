package linkmodel

import (
	"io"
	"net"
	"sync"
	"time"
)

// window is what one connection may have under way, as TCP's: enough for
// 100 Mbit/s at 300 ms.
const window = 4 << 20

// flow is one direction of one connection: packets and when they arrive.
type flow struct {
	lane *lane

	mu      sync.Mutex // guards what follows
	packets []packet
	under   int           // bytes in packets
	last    time.Time     // arrival of the newest packet: none overtakes
	ended   bool          // by the writer: what is under way arrives
	broken  bool          // by the reader: nobody reads any more
	changed chan struct{} // closed, and made anew, with every change
}

type packet struct {
	b  []byte
	at time.Time
}

func newFlow(l *lane) *flow { return &flow{lane: l, changed: make(chan struct{})} }

func (f *flow) changeLocked() {
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *flow) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		f.ended = true
		f.changeLocked()
	}
}

func (f *flow) breakOff() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.broken {
		f.broken, f.packets, f.under = true, nil, 0
		f.changeLocked()
	}
}

// write sends b packet by packet, and waits where the queue or the window is
// full.
func (f *flow) write(b []byte, d *deadline) (n int, err error) {
	for len(b) > 0 {
		p := b[:min(len(b), packetSize)]
		if err := f.writePacket(p, d); err != nil {
			return n, err
		}
		n += len(p)
		b = b[len(p):]
	}
	return n, nil
}

func (f *flow) writePacket(p []byte, d *deadline) error {
	if err := f.room(d); err != nil {
		return err
	}
	if err := f.lane.enter(len(p), d); err != nil {
		return err
	}
	defer f.lane.leave()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.overLocked(); err != nil {
		return err
	}
	at := f.lane.send(len(p), time.Now())
	if at.Before(f.last) {
		at = f.last
	}
	f.last = at
	f.packets = append(f.packets, packet{b: append([]byte(nil), p...), at: at})
	f.under += len(p)
	f.changeLocked()
	return nil
}

func (f *flow) overLocked() error {
	switch {
	case f.ended:
		return net.ErrClosed
	case f.broken:
		return io.ErrClosedPipe
	}
	return nil
}

// room waits until the window has any.
func (f *flow) room(d *deadline) error {
	for {
		f.mu.Lock()
		err, full, changed := f.overLocked(), f.under >= window, f.changed
		f.mu.Unlock()
		if err != nil {
			return err
		}
		if err := d.pass(); err != nil || !full {
			return err
		}
		d.wait(0, changed)
	}
}

// read gives what has arrived, and waits if nothing has.
func (f *flow) read(b []byte, d *deadline) (int, error) {
	for {
		n, wait, changed, err := f.take(b)
		if n > 0 || err != nil {
			return n, err
		}
		if err := d.pass(); err != nil {
			return 0, err
		}
		d.wait(wait, changed)
	}
}

// take copies what has arrived. If nothing has, it says how long until
// something does, 0 if that is not known.
func (f *flow) take(b []byte) (n int, wait time.Duration, changed <-chan struct{}, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken {
		return 0, 0, nil, net.ErrClosed
	}
	now := time.Now()
	for n < len(b) && len(f.packets) > 0 && !f.packets[0].at.After(now) {
		p := &f.packets[0]
		k := copy(b[n:], p.b)
		n, f.under, p.b = n+k, f.under-k, p.b[k:]
		if len(p.b) == 0 {
			f.packets[0] = packet{}
			f.packets = f.packets[1:]
		}
	}
	switch {
	case n > 0:
		f.changeLocked()
	case len(f.packets) > 0:
		wait = f.packets[0].at.Sub(now)
	case f.ended:
		return 0, 0, nil, io.EOF
	}
	return n, wait, f.changed, nil
}

// unread waits until nobody reads any more.
func (f *flow) unread() {
	for {
		f.mu.Lock()
		broken, changed := f.broken, f.changed
		f.mu.Unlock()
		if broken {
			return
		}
		<-changed
	}
}

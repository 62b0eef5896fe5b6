package peer

import (
	"net"
	"sync"
	"time"

	"trunkline/internal/id"
	"trunkline/internal/mux"
)

// Device is a stream to a device whose tunnel is at this relay.
type Device interface {
	net.Conn
	// Lend has use look at what came where it is, at most size bytes.
	Lend(size int, use func(net.Buffers) error) (n int, err error)
	// Mux is the stream below, for who passes bytes on as they are; nil if they
	// must be passed by Read, or Lend, and Write.
	Mux() *mux.Stream
}

const (
	firstRead = 16 << 10
	lendSize  = 64 << 10
)

var buffers = sync.Pool{New: func() any { return new([firstRead]byte) }}

// serve takes a stream that the other relay opened through its header, and
// joins it to the device's. It owns s.
func (l *link) serve(s *mux.Stream) {
	_ = s.SetReadDeadline(time.Now().Add(headerTime))
	h, err := readHeader(s, l.relay)
	if err == nil && h.Notice == seen {
		l.answerSeen(s, h.Visit)
		return
	}
	if err == nil && h.Notice != "" {
		l.hear(h.notice())
		_ = s.Close()
		return
	}
	if err == nil {
		_ = s.SetReadDeadline(time.Time{})
		var d Device
		if d, err = l.peers.o.Admit(l.ctx, l.relay, h.request()); err == nil {
			l.join(s, d, h.Device)
			return
		}
	}
	f := asFault(err)
	l.peers.metrics.refused.WithLabelValues(string(f.Code)).Inc()
	s.Post(encodeRefusal(f)) // if it does not get there, neither would anything else
	_ = s.Close()
}

// join passes on what either side says until one of them has ended. It owns both.
// Where loops can do it no goroutine stays longer than until the device's first
// word.
func (l *link) join(s *mux.Stream, d Device, to id.Device) {
	l.use(to, 1)
	l.served.Add(1)
	l.peers.metrics.served.Inc()
	j := &joint{s: s, d: d, over: func() {
		_ = d.Close()
		_ = s.Close()
		l.use(to, -1)
		l.served.Done()
	}}
	j.both.Store(2)
	if !s.Post([]byte{replyAccepted}) {
		_ = d.Close()
	}
	m := d.Mux()
	if m == nil {
		l.served.Go(func() { j.upEnded(pass(d, s)) })
		if err := j.first(); err != nil {
			j.downEnded(err)
		} else {
			j.downEnded(pass(s, d))
		}
		return
	}
	j.up = &flow{from: s, to: m, ended: j.upEnded}
	j.down = &flow{from: m, to: s, ended: j.downEnded}
	j.up.begin()
	if err := j.first(); err != nil {
		j.down.end(err)
		return
	}
	j.down.begin()
}

// use counts the streams to a device.
func (l *link) use(d id.Device, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.users[d] += n; l.users[d] == 0 {
		delete(l.users, d)
	}
}

func (l *link) uses(d id.Device) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.users[d] > 0
}

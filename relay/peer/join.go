package peer

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/mux"
)

// Device is a stream to a device whose tunnel is at this relay.
type Device interface {
	net.Conn
	// Lend has use look at what came where it is, at most size bytes.
	Lend(size int, use func(net.Buffers) error) (n int, err error)
}

const (
	firstRead = 16 << 10
	lendSize  = 64 << 10
)

var buffers = sync.Pool{New: func() any { return new([firstRead]byte) }}

// serve takes a stream that the other relay opened through its header, and
// joins it to the device's. It owns s.
func (l *link) serve(s *mux.Stream) {
	defer s.Close()
	_ = s.SetReadDeadline(time.Now().Add(headerTime))
	h, err := readHeader(s, l.relay)
	if err == nil && h.Notice != "" {
		l.peers.o.Heard(l.relay, h.notice())
		return
	}
	if err == nil {
		_ = s.SetReadDeadline(time.Time{})
		var d Device
		if d, err = l.peers.o.Admit(l.ctx, l.relay, h.request()); err == nil {
			l.use(h.Device, 1)
			defer l.use(h.Device, -1)
			l.peers.metrics.served.Inc()
			if s.Post([]byte{replyAccepted}) {
				join(s, d)
			}
			_ = d.Close()
			return
		}
	}
	f := asFault(err)
	l.peers.metrics.refused.WithLabelValues(string(f.Code)).Inc()
	s.Post(encodeRefusal(f)) // if it does not get there, neither would anything else
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

// join passes on what either side says until one of them has ended.
func join(s *mux.Stream, d Device) {
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = pass(d, s)
		_ = d.Close() // ends down, which has nothing to wait for
	})
	if err := down(s, d); err == nil {
		_ = s.CloseWrite() // what the device said last is still on its way
	} else {
		s.ResetWith(resetCode(err))
	}
	wg.Wait()
}

// down carries from the device to the other relay. The agent's reply, which d
// takes off, is put in front of the first bytes: a refusal has its own words.
func down(s *mux.Stream, d Device) error {
	buf := buffers.Get().(*[firstRead]byte)
	n, err := d.Read(buf[1:])
	if n > 0 {
		buf[0] = replyAccepted
		_, err = s.Write(buf[:1+n])
	}
	buffers.Put(buf)
	var f *fault.Error
	switch {
	case errors.As(err, &f):
		_, err = s.Write(encodeRefusal(f))
		return err
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	return pass(s, d)
}

// pass copies from one stream to the other, from the segments in which it came,
// until the end of either.
func pass(to io.Writer, from interface {
	Lend(int, func(net.Buffers) error) (int, error)
}) error {
	use := func(bs net.Buffers) error {
		for _, b := range bs {
			if _, err := to.Write(b); err != nil {
				return err
			}
		}
		return nil
	}
	for {
		if _, err := from.Lend(lendSize, use); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// asFault is err as a fault for the other relay: what is none is not told.
func asFault(err error) *fault.Error {
	var f *fault.Error
	if errors.As(err, &f) {
		return f
	}
	return fault.New(fault.Internal, "Something went wrong at the relay that holds the PBX's connection.")
}

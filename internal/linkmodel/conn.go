package linkmodel

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// end is one end of a connection.
type end struct {
	in, out     *flow
	name        string
	rd, wd      deadline
	closeOnce   sync.Once
	local, peer net.Addr // nil: memory's
}

func (e *end) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	return e.in.read(b, &e.rd)
}

func (e *end) Write(b []byte) (int, error) { return e.out.write(b, &e.wd) }

// Close ends both directions. What was written still arrives.
func (e *end) Close() error {
	e.closeOnce.Do(func() {
		e.out.end()
		e.in.breakOff()
	})
	return nil
}

// CloseWrite ends the writing direction, as TCP's FIN does.
func (e *end) CloseWrite() error {
	e.out.end()
	return nil
}

func (e *end) LocalAddr() net.Addr  { return e.addr(e.local) }
func (e *end) RemoteAddr() net.Addr { return e.addr(e.peer) }

func (e *end) addr(a net.Addr) net.Addr {
	if a == nil {
		return memory(e.name)
	}
	return a
}

type memory string

func (memory) Network() string  { return "linkmodel" }
func (m memory) String() string { return string(m) }

func (e *end) SetDeadline(t time.Time) error {
	return errors.Join(e.SetReadDeadline(t), e.SetWriteDeadline(t))
}

func (e *end) SetReadDeadline(t time.Time) error  { e.rd.set(t); return nil }
func (e *end) SetWriteDeadline(t time.Time) error { e.wd.set(t); return nil }

// deadline is a time that may be moved while somebody waits for it.
type deadline struct {
	mu    sync.Mutex // guards what follows
	at    time.Time
	timer *time.Timer
	late  chan struct{} // closed when at has passed
	moved chan struct{} // closed when at is another
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = t
	if d.moved != nil {
		close(d.moved)
	}
	if d.timer != nil {
		d.timer.Stop()
	}
	d.moved, d.late, d.timer = make(chan struct{}), make(chan struct{}), nil
	late := d.late
	switch left := time.Until(t); {
	case t.IsZero():
	case left <= 0:
		close(late)
	default:
		d.timer = time.AfterFunc(left, func() { close(late) })
	}
}

func (d *deadline) watch() (late, moved <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.moved == nil {
		d.moved, d.late = make(chan struct{}), make(chan struct{})
	}
	return d.late, d.moved
}

// pass errs if the time has passed.
func (d *deadline) pass() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.at.IsZero() && !time.Now().Before(d.at) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// wait returns when t is over, unless t is 0, and when anything has changed.
func (d *deadline) wait(t time.Duration, changed <-chan struct{}) {
	late, moved := d.watch()
	var over <-chan time.Time
	if t > 0 {
		timer := time.NewTimer(t)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
	case <-changed:
	case <-moved:
	case <-late:
	}
}

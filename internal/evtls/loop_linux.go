package evtls

import (
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"trunkline/internal/nowait"
)

// batch is how many sockets one epoll_wait may tell of.
const batch = 128

// wakeSlot stands for the loop's own bell.
const wakeSlot = -1

// loop is a goroutine that calls the ready of its connections. The epoll
// descriptor is itself watched by Go's runtime, so that a loop with nothing to
// do is parked like any reader and holds no thread.
//
// Sockets are registered edge-triggered: a wake costs no system call to arm the
// next one, at the price that whoever reads must read to the end (see readNow).
type loop struct {
	epoll  *os.File
	raw    syscall.RawConn
	bell   int // an eventfd
	events [batch]unix.EpollEvent
	last   []func() // the loop's own: what comes after the turns

	mu      sync.Mutex
	slots   []slot
	free    []int32
	queue   []*Conn // whose turn comes
	spare   []*Conn // the queue before, to be used again
	parked  bool
	stopped bool
}

// slot knows its connection by a number that an event of the slot's last user
// does not have.
type slot struct {
	conn       *Conn
	generation int32
}

func newLoop() (*loop, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	err = unix.SetNonblock(fd, true) // or the runtime would not watch it
	l := &loop{epoll: os.NewFile(uintptr(fd), "epoll"), bell: -1}
	if err == nil {
		err = l.epoll.SetDeadline(time.Time{}) // errs if it is not watched
	}
	if err == nil {
		l.raw, err = l.epoll.SyscallConn()
	}
	if err == nil {
		l.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	}
	if err == nil {
		err = l.register(l.bell, unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: wakeSlot})
	}
	if err != nil {
		l.close()
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return l, nil
}

// watch registers c, whose ready is due at once: TLS may have something, and
// the socket.
func (l *loop) watch(c *Conn) error {
	c.now = readNow
	c.pending.Store(true)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return net.ErrClosed
	}
	if n := len(l.free); n > 0 {
		c.slot, l.free = l.free[n-1], l.free[:n-1]
	} else {
		c.slot = int32(len(l.slots))
		l.slots = append(l.slots, slot{})
	}
	s := &l.slots[c.slot]
	s.conn = c
	var err error
	ctl := c.raw.Control(func(fd uintptr) {
		err = l.register(int(fd), unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET, Fd: c.slot, Pad: s.generation})
	})
	if ctl != nil {
		err = ctl // it is closed
	}
	if err != nil {
		l.dropLocked(c)
		return fmt.Errorf("epoll: %w", err)
	}
	l.queueLocked(c)
	return nil
}

// register adds a socket, under the lock of its descriptor: it cannot be
// another's already.
func (l *loop) register(fd int, e unix.EpollEvent) error {
	var err error
	if ctl := l.raw.Control(func(ep uintptr) { err = unix.EpollCtl(int(ep), unix.EPOLL_CTL_ADD, fd, &e) }); ctl != nil {
		return ctl
	}
	return err
}

// dropLocked forgets c. The kernel has done so with its descriptor; an event
// that is on its way is nobody's.
func (l *loop) dropLocked(c *Conn) {
	s := &l.slots[c.slot]
	if s.conn != c {
		return
	}
	s.conn = nil
	s.generation++
	l.free = append(l.free, c.slot)
}

// forget implements waker.
func (l *loop) forget(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped || l.slots[c.slot].conn != c {
		return
	}
	_ = c.raw.Control(func(fd uintptr) { // if it is closed the kernel has forgotten it
		_ = l.raw.Control(func(ep uintptr) { _ = unix.EpollCtl(int(ep), unix.EPOLL_CTL_DEL, int(fd), nil) })
	})
	l.dropLocked(c)
}

// later implements waker.
func (l *loop) later(f func()) { l.last = append(l.last, f) }

// wake implements waker.
func (l *loop) wake(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queueLocked(c)
}

func (l *loop) queueLocked(c *Conn) {
	if c.queued || l.stopped || l.slots[c.slot].conn != c {
		return
	}
	c.queued = true
	l.queue = append(l.queue, c)
	if l.parked {
		l.parked = false
		l.ring()
	}
}

var one = []byte{1, 0, 0, 0, 0, 0, 0, 0}

// ring makes epoll_wait tell of wakeSlot. Nobody reads the counter: each write
// is an edge.
func (l *loop) ring() { _, _ = nowait.Write(l.bell, one) }

func (l *loop) close() {
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		return
	}
	l.stopped = true
	if l.bell >= 0 {
		_ = unix.Close(l.bell)
	}
	l.mu.Unlock()
	l.epoll.Close() // waits until run has let go of it
}

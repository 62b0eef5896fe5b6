package evtls

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"trunkline/internal/nowait"
)

// run serves until close. All of it is one call of Read: between two calls the
// runtime would forget that an event has come, and each wake would need another
// epoll_wait to make sure.
func (l *loop) run() error {
	var failed error
	err := l.raw.Read(func(fd uintptr) (done bool) {
		failed = l.turns(int(fd))
		return failed != nil
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return nil
	}
	return fmt.Errorf("event loop: %w", errors.Join(failed, err))
}

// turns serves until there is nothing to do. Whoever wants another turn stands
// behind all who have something new.
func (l *loop) turns(epoll int) error {
	more, err := l.collect(epoll)
	for err == nil {
		run := l.take(!more)
		if run == nil && !more {
			return nil
		}
		for _, c := range run {
			l.turn(c)
		}
		for i, f := range l.last {
			l.last[i] = nil
			f()
		}
		l.last = l.last[:0]
		more, err = l.afterwards(epoll, run, more)
	}
	return err
}

// take is the queue, and nil if it is empty; then, if nothing else is left to
// do, whoever queues the next must ring.
func (l *loop) take(last bool) []*Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		l.parked = last
		return nil
	}
	run := l.queue
	l.queue, l.spare = l.spare[:0], nil
	for _, c := range run {
		c.queued = false
	}
	return run
}

// afterwards keeps run's memory and collects again, if there is reason to.
// Without one the runtime says so when there is something.
func (l *loop) afterwards(epoll int, run []*Conn, more bool) (bool, error) {
	clear(run)
	l.mu.Lock()
	l.spare = run[:0]
	busy, stopped := len(l.queue) > 0, l.stopped
	l.mu.Unlock()
	switch {
	case stopped:
		return false, os.ErrClosed
	case busy:
		// Those that were woken by what has come get the core first.
		runtime.Gosched()
	case !more:
		return false, nil
	}
	return l.collect(epoll)
}

// turn gives c its turn, and its last one after Close.
func (l *loop) turn(c *Conn) {
	closed := c.closed.Load()
	again := c.ready()
	if !again && !closed {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if closed {
		l.dropLocked(c)
		return
	}
	l.queueLocked(c)
}

// collect queues those whose sockets have something, and says whether there may
// be more of them.
func (l *loop) collect(epoll int) (more bool, err error) {
	n, err := nowait.Poll(epoll, l.events[:])
	switch {
	case errors.Is(err, unix.EINTR):
		return true, nil
	case err != nil:
		return false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return false, os.ErrClosed
	}
	l.parked = false
	for i := range l.events[:n] {
		e := &l.events[i]
		if e.Fd == wakeSlot {
			continue
		}
		s := &l.slots[e.Fd]
		if s.conn == nil || s.generation != e.Pad {
			continue
		}
		if e.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			s.conn.hangup.Store(true)
		}
		s.conn.pending.Store(true)
		l.queueLocked(s.conn)
	}
	return n == batch, nil
}

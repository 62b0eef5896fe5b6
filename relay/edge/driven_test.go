package edge_test

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// driven is a stream that loops can drive, as a tunnel's is: OnChange may call
// for nothing.
type driven struct {
	watched
	closed atomic.Bool

	mu   sync.Mutex // guards held
	held []byte
}

type nothingNow struct{ error }

func (nothingNow) Temporary() bool { return true }

func (d *driven) TryRead(b []byte) (int, error) { return d.tryRead(b) }

func (s stream) tryRead(b []byte) (n int, err error) {
	raw, err := s.SyscallConn()
	if err != nil {
		return 0, err
	}
	ctl := raw.Control(func(fd uintptr) { n, _, err = syscall.Recvfrom(int(fd), b, syscall.MSG_DONTWAIT) })
	switch {
	case ctl != nil:
		return 0, ctl
	case err == syscall.EAGAIN:
		return 0, nothingNow{err}
	case err != nil:
		return 0, err
	case n == 0:
		return 0, net.ErrClosed
	}
	return n, nil
}

func (d *driven) Hold(b []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.held)+len(b) > 4<<10 || d.closed.Load() {
		return false
	}
	d.held = append(d.held, b...)
	return true
}

func (d *driven) Flush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _ = d.Write(d.held)
	d.held = d.held[:0]
}

func (d *driven) OnChange(f func()) {
	raw, err := d.SyscallConn()
	if err != nil {
		return
	}
	d.w.watchers.Go(func() {
		for !d.closed.Load() {
			var fds [1]unix.PollFd
			if raw.Control(func(fd uintptr) {
				fds[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
				_, _ = unix.Poll(fds[:], 0)
			}) != nil {
				return
			}
			if fds[0].Revents != 0 {
				f()
			}
			time.Sleep(time.Millisecond)
		}
	})
}

func (d *driven) Close() error {
	d.closed.Store(true)
	return d.watched.Close()
}

func (d *driven) Reset() {
	d.closed.Store(true)
	d.watched.Reset()
}

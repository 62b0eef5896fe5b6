package mux

import (
	"sync/atomic"
	"time"
)

// maxWindow is the largest window a stream can get: 1 Gbit/s over 128 ms.
const maxWindow = 16 << 20

// Budget bounds by how much all the windows that share it may have grown. The
// first 256 KiB of each stream are the protocol's and not in it. A nil Budget
// has no bound.
type Budget struct {
	limit, used atomic.Int64
}

// NewBudget makes one of so many bytes.
func NewBudget(limit int64) *Budget {
	b := new(Budget)
	b.limit.Store(limit)
	return b
}

// Used is by how many bytes windows have grown.
func (b *Budget) Used() int64 {
	if b == nil {
		return 0
	}
	return b.used.Load()
}

func (b *Budget) take(n int) bool {
	if b == nil {
		return true
	}
	if b.used.Add(int64(n)) > b.limit.Load() {
		b.used.Add(int64(-n))
		return false
	}
	return true
}

func (b *Budget) giveBack(n int) {
	if b != nil && n != 0 {
		b.used.Add(int64(-n))
	}
}

// grow takes n bytes for a window, if the session may still have them, and all
// that share its budget.
func (c *core) grow(n int) bool {
	if c.growth > 0 && c.grown+n > c.growth || !c.budget.take(n) {
		return false
	}
	c.grown += n
	return true
}

func (c *core) shrink(n int) {
	c.grown -= n
	c.budget.giveBack(n)
}

// consumed tells the peer what it may send, when its reader has made half a
// window free; and doubles a window that was used up within four round trips,
// since it is the window then that limits the stream.
func (c *core) consumed(s *Stream, now time.Duration) {
	s.unread.Store(int32(s.queue.len))
	if s.finGot || s.forgotten || s.discards {
		return
	}
	free := s.window - s.queue.len - int(s.credit)
	if free < s.window/2 {
		return
	}
	c.wantRTT(now)
	if fast := c.rtt > 0 && s.granted != 0 && now-s.granted < 4*c.rtt; fast && s.window < int(c.window) {
		if more := min(s.window, int(c.window)-s.window); c.grow(more) {
			s.window += more
			free += more
		}
	}
	s.granted = max(now, 1)
	s.grant += uint32(free)
	s.credit += uint32(free)
	c.queues.push(inControl, s)
}

package evtls

import (
	"sync/atomic"
	"syscall"
)

// Slots is how many connections the loops know.
func Slots(p *Poller) (n int) {
	for _, l := range p.loops {
		l.mu.Lock()
		n += len(l.slots) - len(l.free)
		l.mu.Unlock()
	}
	return n
}

// CountReads counts the times that c goes to its socket, but for blocking reads.
func CountReads(c *Conn) (reads func() int64) {
	n := &counting{RawConn: c.raw}
	c.raw = n
	return n.count.Load
}

type counting struct {
	syscall.RawConn
	count atomic.Int64
}

func (c *counting) Control(f func(uintptr)) error {
	c.count.Add(1)
	return c.RawConn.Control(f)
}

package evtls

import (
	"errors"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"trunkline/internal/nowait"
)

// mostPieces is how many pieces one writev(2) of ours takes.
const mostPieces = 16

// gathering is one writev(2), made so that it costs no allocation.
type gathering struct {
	bs   [][]byte
	v    [mostPieces]unix.Iovec
	n    int
	err  error
	call func(fd uintptr)
}

var gatherings = sync.Pool{New: func() any {
	g := new(gathering)
	g.call = func(fd uintptr) {
		for {
			g.n, g.err = nowait.Writev(int(fd), g.bs, g.v[:])
			if !errors.Is(g.err, syscall.EINTR) {
				return
			}
		}
	}
	return g
}}

// writevNow is writeNow of several pieces, the first mostPieces of them.
func (c *Conn) writevNow(bs net.Buffers) (int, error) {
	g := gatherings.Get().(*gathering)
	g.bs = bs[:min(len(bs), mostPieces)]
	closed := c.raw.Control(g.call)
	n, err := g.n, g.err
	g.bs, g.n, g.err = nil, 0, nil
	gatherings.Put(g)
	return c.wrote("writev", n, err, closed)
}

package edge

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// A long body that comes no faster than the browser takes it needs no goroutine:
// the loop that reads the tunnel writes what has come to the browser's socket
// (docs/adr/0046). The connection's goroutine waits meanwhile. It goes on when the
// socket has not taken all, the body is over or fails, or it is time to count.

// feed reports whether something of the body has gone that way.
func (d *download) feed(now time.Time) (fed bool, err error) {
	f, ok := d.l.lender.(feeder)
	l := d.x.c.lane
	if !ok || l == nil || l.tls != nil || !l.raw.Pollable() || d.x.over != nil {
		return false, nil
	}
	if d.x.c.poured == nil {
		d.x.c.poured = d.pour
	}
	d.held, d.broken = false, nil
	n, err := f.Feed(d.left, now.Add(countEvery), d.x.c.poured)
	if d.held && d.broken == nil {
		d.broken = errors.Join(d.x.c.progress(), l.raw.Uncork())
	}
	if d.broken != nil {
		return true, fmt.Errorf("%w: %w", errGone, d.broken)
	}
	return n > 0, err
}

// pour writes what has come as far as the socket takes it; the rest is held back,
// and no more is wanted until it is out.
func (d *download) pour(bs net.Buffers) (more bool) {
	for _, b := range bs {
		d.take(len(b))
	}
	whole, err := d.x.c.lane.raw.TryWriteAll(bs)
	d.held, d.broken = !whole, err
	return whole && err == nil
}

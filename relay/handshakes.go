package relay

import (
	"container/list"
	"context"
	"net"
	"sync"
	"time"
)

const (
	handshakeTime = 10 * time.Second
	// maxHandshakes bounds the memory that strangers can claim at once: some
	// 20 KiB each. maxTunnelHandshakes is the part of it that agents can; the
	// rest is there for browsers.
	maxHandshakes       = 2048
	maxTunnelHandshakes = maxHandshakes * 3 / 4
	// When there are as many, one older than this makes room for the next
	// connection: else a few hundred that stand still would keep out everybody
	// for handshakeTime. A client that means it says hello at once.
	silentFor = 500 * time.Millisecond
	slowFor   = 2 * time.Second
)

// handshakes are the TLS handshakes under way.
type handshakes struct {
	pushOut func() bool   // turns an agent away that waits, if one does
	room    chan struct{} // has a token when somebody has gone

	mu      sync.Mutex // guards what follows
	order   *list.List // of *handshake, the oldest first
	byConn  map[net.Conn]*list.Element
	tunnels int
	rate    int       // of tunnels' a second; 0: no limit
	full    time.Time // when a second's worth of rate is there again
}

type handshake struct {
	conn   net.Conn
	began  time.Time
	hello  bool // the client's has come, whole
	tunnel bool // and it is an agent's
	waits  bool // for us, not we for it
}

func newHandshakes(rate int, pushOut func() bool) *handshakes {
	return &handshakes{rate: rate, pushOut: pushOut, room: make(chan struct{}, 1), order: list.New(), byConn: make(map[net.Conn]*list.Element)}
}

func (h *handshakes) setRate(rate int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rate = rate
}

// begin takes c in. If there is no room it pushes out an agent that waits, for c
// may be a browser; if none does it closes one that stands still. Not before:
// where many wait, it may be we who have not come to read what it said.
// Who comes after c waits meanwhile, where it costs nothing: in the kernel. It
// is false, and c has cost nothing, if nothing helps.
func (h *handshakes) begin(c net.Conn) bool {
	for until := time.Now().Add(silentFor); !h.enter(c, false); {
		switch {
		case !h.pushOut() && h.enter(c, true):
			return true
		case !time.Now().Before(until):
			return false
		}
		select {
		case <-h.room:
		case <-time.After(silentFor / 20): // somebody has stood still for long enough, perhaps
		}
	}
	return true
}

func (h *handshakes) enter(c net.Conn, evict bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if h.order.Len() >= maxHandshakes && !(evict && h.evictLocked(now, false)) {
		return false
	}
	h.byConn[c] = h.order.PushBack(&handshake{conn: c, began: now, waits: true})
	return true
}

// evictLocked closes the oldest that stands still, of all or of the tunnels.
func (h *handshakes) evictLocked(now time.Time, tunnels bool) bool {
	for e := h.order.Front(); e != nil; e = e.Next() {
		x := e.Value.(*handshake)
		age := now.Sub(x.began)
		if age < silentFor {
			return false // the others are younger
		}
		if x.waits || tunnels && !x.tunnel {
			continue
		}
		if age >= slowFor || !x.hello {
			h.removeLocked(e)
			_ = x.conn.Close() // its own goroutine finds out, and counts it
			return true
		}
	}
	return false
}

// heard notes that the client's hello has come.
func (h *handshakes) heard(c net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e, ok := h.byConn[c]; ok {
		e.Value.(*handshake).hello = true
	}
}

// heardAgent does so for an agent's, and says why it cannot go on; "" if it can.
func (h *handshakes) heardAgent(c net.Conn) (shed string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	e, ok := h.byConn[c]
	switch {
	case !ok:
		return "slow" // it was closed a moment ago
	case h.rate > 0 && h.full.Sub(now) >= time.Second:
		return "rate"
	case h.tunnels >= maxTunnelHandshakes && !h.evictLocked(now, true):
		return "full"
	}
	if h.rate > 0 {
		if h.full.Before(now) {
			h.full = now
		}
		h.full = h.full.Add(time.Second / time.Duration(h.rate))
	}
	x := e.Value.(*handshake)
	x.hello, x.tunnel, x.waits = true, true, true
	h.tunnels++
	return ""
}

// goesOn notes that c has waited, and that it is for the client to say something.
func (h *handshakes) goesOn(c net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, ok := h.byConn[c]
	if !ok {
		return
	}
	x := e.Value.(*handshake)
	x.waits, x.began = false, time.Now()
	h.order.MoveToBack(e)
}

func (h *handshakes) end(c net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e, ok := h.byConn[c]; ok {
		h.removeLocked(e)
	}
}

func (h *handshakes) removeLocked(e *list.Element) {
	x := h.order.Remove(e).(*handshake)
	delete(h.byConn, x.conn)
	if x.tunnel {
		h.tunnels--
	}
	select {
	case h.room <- struct{}{}:
	default:
	}
}

// settle waits until none is under way; there are no new ones.
func (h *handshakes) settle(ctx context.Context) {
	for h.count() > 0 && ctx.Err() == nil {
		select {
		case <-h.room: // one has ended
		case <-time.After(silentFor / 10):
		case <-ctx.Done():
		}
	}
}

func (h *handshakes) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.order.Len()
}

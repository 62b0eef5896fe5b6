package relay

import (
	"container/list"
	"net"
	"sync"
	"time"
)

const (
	handshakeTime = 10 * time.Second
	// maxHandshakes bounds the memory and the CPU that strangers can claim at
	// once.
	maxHandshakes = 512
	// When there are as many, one older than this makes room for the next
	// connection: else a few hundred that stand still would keep out everybody
	// for handshakeTime. A client that means it says hello at once.
	silentFor = 500 * time.Millisecond
	slowFor   = 2 * time.Second
)

// handshakes are the TLS handshakes under way.
type handshakes struct {
	mu     sync.Mutex
	order  *list.List // of *handshake, the oldest first
	byConn map[net.Conn]*list.Element
}

type handshake struct {
	conn  net.Conn
	began time.Time
	hello bool // the client's has come, whole
}

func newHandshakes() *handshakes {
	return &handshakes{order: list.New(), byConn: make(map[net.Conn]*list.Element)}
}

// begin takes c in, closing one that stands still if there is no room without.
// It is false, and c has cost nothing, if that does not help.
func (h *handshakes) begin(c net.Conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if h.order.Len() >= maxHandshakes && !h.evictLocked(now) {
		return false
	}
	h.byConn[c] = h.order.PushBack(&handshake{conn: c, began: now})
	return true
}

func (h *handshakes) evictLocked(now time.Time) bool {
	for e := h.order.Front(); e != nil; e = e.Next() {
		x := e.Value.(*handshake)
		age := now.Sub(x.began)
		if age < silentFor {
			return false // the others are younger
		}
		if age >= slowFor || !x.hello {
			h.order.Remove(e)
			delete(h.byConn, x.conn)
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

func (h *handshakes) end(c net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e, ok := h.byConn[c]; ok {
		h.order.Remove(e)
		delete(h.byConn, c)
	}
}

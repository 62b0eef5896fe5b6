package store

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// lostFor is how long a host of several that did not answer is passed over: each
// connection asks them in their order, and else waited for the lost one first.
const lostFor = 5 * time.Second

// hosts dials those of a URL with several (PostgreSQL's documentation, section
// 34.1.1.3): a primary and its standbys.
type hosts struct {
	dial pgconn.DialFunc

	mu   sync.Mutex
	lost map[string]loss // by address
}

// loss is when a host did not answer in time, and the error.
type loss struct {
	at  time.Time
	err error
}

func newHosts(dial pgconn.DialFunc) *hosts {
	return &hosts{dial: dial, lost: make(map[string]loss)}
}

// Dial connects to addr, or says at once that it did not answer a moment ago.
func (h *hosts) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	h.mu.Lock()
	l, was := h.lost[addr]
	h.mu.Unlock()
	if was && time.Since(l.at) < lostFor {
		return nil, l.err
	}
	c, err := h.dial(ctx, network, addr)
	h.mu.Lock()
	defer h.mu.Unlock()
	var n net.Error
	if errors.As(err, &n) && n.Timeout() {
		h.lost[addr] = loss{time.Now(), err}
	} else {
		delete(h.lost, addr)
	}
	return c, err
}

// several reports whether a configuration has more than one host. A host alone is
// there twice if TLS is not required.
func several(c *pgconn.Config) bool {
	for _, f := range c.Fallbacks {
		if f.Host != c.Host || f.Port != c.Port {
			return true
		}
	}
	return false
}

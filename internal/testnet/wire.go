package testnet

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Wire passes TCP on to an address, until it is cut.
type Wire struct {
	ln    net.Listener
	parts sync.WaitGroup

	mu    sync.Mutex
	to    string // "": nowhere yet
	cut   bool
	conns []net.Conn
}

// NewWire is a wire that leads nowhere yet. It ends with the test.
func NewWire(t testing.TB) *Wire {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &Wire{ln: ln}
	w.parts.Go(w.accept)
	t.Cleanup(func() {
		ln.Close()
		w.Cut()
		w.parts.Wait()
	})
	return w
}

// Addr is this end's.
func (w *Wire) Addr() string { return w.ln.Addr().String() }

// To has it lead to an address.
func (w *Wire) To(addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to = addr
}

// Cut ends all connections, and whoever comes is turned away.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
	for _, c := range w.conns {
		c.Close()
	}
	w.conns = nil
}

// Mend lets through again.
func (w *Wire) Mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = false
}

func (w *Wire) accept() {
	for {
		c, err := w.ln.Accept()
		if err != nil {
			return
		}
		w.join(c)
	}
}

func (w *Wire) join(near net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut || w.to == "" {
		near.Close()
		return
	}
	far, err := net.Dial("tcp", w.to)
	if err != nil {
		near.Close()
		return
	}
	w.conns = append(w.conns, near, far)
	pass := func(to, from net.Conn) {
		_, _ = io.Copy(to, from) // whoever ends it, it has ended
		to.Close()
	}
	w.parts.Go(func() { pass(near, far) })
	w.parts.Go(func() { pass(far, near) })
}

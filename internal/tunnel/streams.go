package tunnel

import (
	"github.com/hashicorp/yamux"

	"trunkline/internal/fault"
)

var errOpened = fault.New(fault.Protocol, "The agent opened a stream; only the relay may.")

// spawn runs f in a goroutine that run waits for, unless run is done.
func (t *session) spawn(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done {
		return false
	}
	t.wg.Go(f)
	return true
}

// sendFIN closes a stream on the wire in its own time: a stuck socket would
// hold up the caller. The goodbye waits for it.
func (t *session) sendFIN(m *yamux.Stream) {
	counted := t.fins.TryRLock() // fails only when the tunnel is at its goodbye already
	done := func() {
		if counted {
			t.fins.RUnlock()
		}
	}
	if !t.spawn(func() { _ = m.Close(); done() }) {
		done()
	}
}

// track begins to follow a stream, which its SYN opens.
func (t *session) track(id uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.streams[id]; !ok {
		t.streams[id] = &conn{t: t, id: id}
	}
}

// attach is the conn of a stream that yamux has opened or accepted; nil if the
// tunnel was hung up before its SYN was sent.
func (t *session) attach(m *yamux.Stream) *conn {
	t.mu.Lock()
	c := t.streams[m.StreamID()]
	t.mu.Unlock()
	if c != nil {
		c.attach(m)
	}
	return c
}

func (t *session) forget(id uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.streams, id)
}

// inbound looks at a frame from the peer, before yamux does.
func (t *session) inbound(f frame) error {
	switch f.typ {
	case framePing, frameGoAway:
		// We use neither, and yamux answers each ping with a goroutine.
		if !t.flood.Allow() {
			t.end(errFlood, true)
			return errFlood
		}
		return nil
	}
	if f.flags&flagSYN != 0 {
		if !t.accepts {
			t.end(errOpened, true)
			return errOpened
		}
		t.track(f.id)
	}
	t.mu.Lock()
	c := t.streams[f.id]
	t.mu.Unlock()
	if c == nil {
		return nil
	}
	if n := f.body(); n > 0 {
		c.arrive(n)
	}
	if f.flags&(flagFIN|flagRST) != 0 {
		c.farClose()
	}
	return nil
}

// outbound looks at a frame to the peer, before it is sent: an answer to a SYN
// cannot come earlier than we know of the stream.
func (t *session) outbound(f frame) {
	switch {
	case f.flags&flagSYN != 0:
		t.track(f.id)
	case f.flags&flagRST != 0:
		t.forget(f.id)
	}
}

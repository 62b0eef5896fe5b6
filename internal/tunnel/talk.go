package tunnel

import (
	"errors"
	"fmt"

	"trunkline/internal/fault"
)

// post queues a control message. It never blocks.
func (t *session) post(m message) error {
	b, err := m.encode()
	if err != nil {
		return fmt.Errorf("control message: %w", err)
	}
	if t.isEnding() {
		return errLost
	}
	select {
	case t.outbox <- b:
		return nil
	default:
		return fault.New(fault.Unavailable, "The tunnel takes no more control messages at the moment.")
	}
}

// writeControl sends what is posted until the multiplexer has ended or end was
// called; then it sends the goodbye and waits for the peer to close. The write
// deadline and the timer that end has set bound that.
func (t *session) writeControl() {
	for {
		select {
		case b := <-t.outbox:
			if _, err := t.ctl.Write(b); err != nil {
				// The reader finds out why, and ends the tunnel: a goodbye may be
				// waiting there.
				<-t.mux.CloseChan()
				return
			}
		case <-t.mux.CloseChan():
			return
		case <-t.ending:
			t.sayGoodbye()
			t.hangUp()
			<-t.mux.CloseChan()
			return
		}
	}
}

// hangUp lets the ends of finished streams go first.
func (t *session) hangUp() {
	t.fins.Lock()
	defer t.fins.Unlock()
	t.wire.hangUp()
}

// sayGoodbye sends what is posted and why the tunnel ends. If the socket does
// not take that any more, its end is message enough.
func (t *session) sayGoodbye() {
	for range len(t.outbox) {
		if _, err := t.ctl.Write(<-t.outbox); err != nil {
			return
		}
	}
	if b, err := goodbye(t.cause).encode(); err == nil && t.say {
		_, _ = t.ctl.Write(b)
	}
}

// readControl reads the peer's messages to the end of the control stream.
// After end it still looks for a goodbye.
func (t *session) readControl(handle func(message)) {
	for {
		b, err := readBlock(t.ctl, controlMax)
		switch {
		case errors.Is(err, errTooLong):
			t.end(fault.New(fault.Protocol, "A control message is too long."), true)
			return
		case err != nil:
			// Its close is the tunnel's, even if nothing else was said.
			t.end(t.lost(), false)
			return
		}
		if !t.flood.Allow() {
			t.end(errFlood, true)
			return
		}
		m, err := parseMessage(b)
		if err != nil {
			t.end(fault.New(fault.Protocol, "A control message is malformed."), true)
			return
		}
		switch m.Type {
		case typePing:
			_ = t.post(message{Type: typePong, ID: m.ID}) // if there is no room, other words show that we live
		case typePong: // heard, and that is all it is for
		default:
			handle(m)
		}
	}
}

var errFlood = fault.New(fault.TooMany, "More control messages or pings came than a peer may send.")

package tunnel

import (
	"errors"

	"trunkline/internal/fault"
)

// post queues a control message. It never blocks.
func (t *session) post(m message) error {
	if t.isEnding() {
		return errLost
	}
	select {
	case t.outbox <- m:
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
		case m := <-t.outbox:
			if t.send(m) != nil {
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

func (t *session) sayGoodbye() {
	for range len(t.outbox) {
		if t.send(<-t.outbox) != nil {
			return
		}
	}
	if t.say {
		_ = t.send(goodbye(t.cause)) // if the socket takes it no more, its end is message enough
	}
}

func (t *session) send(m message) error {
	b, err := m.encode()
	if err != nil {
		return nil // too long: SendStatus and SendPass have checked what they post
	}
	_, err = t.ctl.Write(b)
	return err // the reader finds out why, and ends the tunnel: a goodbye may be waiting there
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

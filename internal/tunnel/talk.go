package tunnel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"trunkline/internal/fault"
	"trunkline/internal/mux"
)

// post queues a control message. It never blocks.
func (t *session) post(m message) error {
	b, err := m.encode()
	if err != nil {
		return fmt.Errorf("control message: %w", err)
	}
	switch {
	case t.ending.Load():
		return errLost
	case !t.ctl.Post(b):
		return fault.New(fault.Unavailable, "The tunnel takes no more control messages at the moment.")
	}
	return nil
}

// hear reads what has come on the control stream. After end it still looks for
// a goodbye.
func (t *session) hear() {
	for {
		var b [512]byte
		n, err := t.ctl.TryRead(b[:])
		switch {
		case errors.Is(err, mux.ErrWouldBlock):
			return
		case err != nil:
			// Its close is the tunnel's, even if nothing else was said.
			t.end(nil, false)
			return
		}
		t.words = append(t.words, b[:n]...)
		if err := t.listen(); err != nil {
			t.words = nil
			t.end(err, true)
			return
		}
	}
}

// listen takes the messages that are complete.
func (t *session) listen() *fault.Error {
	for len(t.words) >= 4 {
		n := binary.BigEndian.Uint32(t.words)
		switch {
		case n > controlMax:
			return fault.New(fault.Protocol, "A control message is too long.")
		case uint32(len(t.words)-4) < n:
			return nil
		}
		if !t.flood.Allow() {
			return errFlood
		}
		m, err := parseMessage(t.words[4 : 4+n])
		if err != nil {
			return fault.New(fault.Protocol, "A control message is malformed.")
		}
		if t.words = t.words[4+n:]; len(t.words) == 0 {
			t.words = nil
		}
		switch m.Type {
		case typePing:
			_ = t.post(message{Type: typePong, ID: m.ID}) // if there is no room, other words show that we live
		case typePong: // heard, and that is all it is for
		default:
			t.inbox.add(m, t.handle)
		}
	}
	return nil
}

// inbox has messages handled one after the other, by a goroutine that exists
// only while there are any: who reads the tunnel may not wait. The limit on
// control messages bounds it.
type inbox struct {
	mu      sync.Mutex
	waiting []message
	running bool
	wg      sync.WaitGroup
}

func (i *inbox) add(m message, handle func(message)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.waiting = append(i.waiting, m)
	if i.running {
		return
	}
	i.running = true
	i.wg.Go(func() {
		for m, ok := i.take(); ok; m, ok = i.take() {
			handle(m)
		}
	})
}

func (i *inbox) take() (m message, ok bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.waiting) == 0 {
		i.waiting, i.running = nil, false
		return message{}, false
	}
	m = i.waiting[0]
	i.waiting[0] = message{}
	i.waiting = i.waiting[1:]
	return m, true
}

func (i *inbox) wait() { i.wg.Wait() }

var errFlood = fault.New(fault.TooMany, "More control messages or pings came than a peer may send.")

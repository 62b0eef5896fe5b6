package mux

import "testing"

// Who has much to send, and writes on when a part of it has been taken, is not
// before those that say little; after a pause it is as all others.
func TestWhoWritesOnWaitsItsTurn(t *testing.T) {
	k := newCore(Config{Client: true, MaxStreams: 10})
	bulk, err := k.open(1)
	if err != nil {
		t.Fatal(err)
	}
	page, err := k.open(1)
	if err != nil {
		t.Fatal(err)
	}
	defer drop(&k)
	var out [FlushSize]byte
	write := func(s *Stream, n int) {
		s.pend = make([]byte, n)
		k.queueData(s)
	}
	// first is whose data goes out first; all of it does.
	first := func() (id uint32) {
		for n := k.fill(1, out[:]); n > 0; n = k.fill(1, out[:]) {
			for b := out[:n]; len(b) > 0; {
				h := parseHeader(b)
				b = b[headerLen:]
				if h.typ != typeData {
					continue
				}
				b = b[h.length:]
				if id == 0 {
					id = h.id
				}
			}
		}
		return id
	}
	write(bulk, 2*MaxBody)
	for bulk.unsent() > 0 {
		k.fill(1, out[:smallest])
	}
	write(bulk, 100)
	write(page, 100)
	if id := first(); id != page.id {
		t.Errorf("stream %d went first", id)
	}
	k.fill(1, out[:])
	write(bulk, 100)
	write(page, 100)
	if id := first(); id != bulk.id {
		t.Errorf("after a pause stream %d went first", id)
	}
}

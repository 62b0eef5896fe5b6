package mux

import (
	"bytes"
	"testing"
	"time"
)

// Who does not read gets copies, of pieces as long as a room can be too: a reader
// that has no records of its own gives all of it at once.
func TestLongPiecesAreCopied(t *testing.T) {
	k := newCore(Config{Accept: func(*Stream) {}, MaxStreams: 1})
	const size = initialWindow
	want := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	in := []byte(data(flagSYN, 1, string(want)))
	room := NewRoom()
	for len(in) > 0 {
		n := copy(room.B, in)
		in = in[n:]
		if err := k.receive(time.Second, room, room.B[:n]); err != nil {
			t.Fatal(err)
		}
		if !room.Alone() {
			room.Release()
			room = NewRoom()
		}
	}
	room.Release()
	got := make([]byte, size+1)
	s := k.streams.get(1)
	if n := s.queue.read(got); n != size || !bytes.Equal(got[:n], want) {
		t.Errorf("%d bytes of %d, or others", n, size)
	}
}

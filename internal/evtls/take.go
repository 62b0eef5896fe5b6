package evtls

import (
	"bytes"
	"encoding/binary"
	"io"
	"sync"
	"unsafe"
)

// Room is memory that records are read into, of 64 KiB and more, and in which they
// stay for whom they are handed to. Alone says that nobody but its reader holds it;
// Release ends the reader's hold.
type Room = interface {
	Bytes() []byte
	Alone() bool
	Release()
}

// taking is a room while there is something in it that nobody has been given.
type taking struct {
	room  Room
	b     []byte // its first bytes, as many as are used
	end   int    // b[:end] is in use
	parts [8][]byte
	n     int // of them
	got   []byte
	late  []byte // got, but not to be given before the parts
	one   [1]byte
}

var takings = sync.Pool{New: func() any { return new(taking) }}

// TryTake is TryRead without a copy: crypto/tls opens a record where it lies, and
// that is handed out. The parts are of the room; whoever needs them longer than
// until the next call has to hold it. They are what one read(2) has brought, or
// some of it. rooms makes a room, of which c gets the hold.
//
// It is for connections that are read in no other way, from Watch on.
func (c *Conn) TryTake(rooms func() Room) (Room, [][]byte, error) {
	inPlace := c.now != nil && c.tls != nil && lending
	if inPlace && c.drained && c.quiet() {
		return nil, nil, ErrWouldBlock
	}
	t := c.taken
	if t == nil {
		t = takings.Get().(*taking)
		c.taken = t
	}
	t.n = 0
	var err error
	if inPlace {
		err = c.takeRecords(t, rooms)
	} else {
		err = c.takeCopy(t, rooms)
	}
	if t.n == 0 {
		c.leave(t, err)
		return nil, nil, err
	}
	return t.room, t.parts[:t.n], nil // crypto/tls gives the error again
}

// takeCopy is for who reads as crypto/tls has it.
func (c *Conn) takeCopy(t *taking, rooms func() Room) error {
	if t.room == nil || len(t.b)-t.end < segmentSize/4 {
		t.enter(rooms, nil)
	}
	n, err := c.TryRead(t.b[t.end:])
	if n > 0 {
		t.hand(t.b[t.end : t.end+n])
		t.end += n
	}
	return err
}

// takeRecords opens what is there, and reads the socket only if that is nothing.
func (c *Conn) takeRecords(t *taking, rooms func() Room) error {
	c.drained = false
	if t.late != nil {
		t.got, t.late = t.late, nil
		c.copyIn(t, rooms)
	}
	for t.n < len(t.parts) {
		whole := !c.wants() && c.holdsRecord()
		if t.n > 0 && !whole {
			return nil // before anything is read
		}
		if c.wants() {
			err := c.fetchInto(t, rooms)
			if err == nil {
				continue
			}
			if WouldBlock(err) {
				c.drained = true
				return err
			}
		}
		switch err := c.open(t, whole); {
		case WouldBlock(err) && whole:
			continue // it was nothing for us
		case err != nil:
			c.drained = WouldBlock(err)
			c.ended = !c.drained
			return err
		case t.has(t.got):
			t.hand(t.got)
		case t.n > 0:
			t.late = t.got
			return nil
		default:
			c.copyIn(t, rooms)
		}
	}
	return nil
}

// holdsRecord reports whether crypto/tls has something to go on with.
func (c *Conn) holdsRecord() bool {
	if input(c.tls).Len() > 0 {
		return true
	}
	b := rawInput(c.tls).Bytes()
	return len(b) >= recordHead && len(b) >= recordHead+int(binary.BigEndian.Uint16(b[3:]))
}

// open has crypto/tls open a record, and takes from it what it says. If it is whole
// the socket is not read for another one, should it say nothing.
func (c *Conn) open(t *taking, whole bool) error {
	in, data := rawInput(c.tls), input(c.tls)
	// If it reads by itself it moves what it has, and would do so over what has been
	// handed out: so its buffer begins where that ends.
	rest := in.Bytes()
	*in = *bytes.NewBuffer(rest[:len(rest):len(rest)])
	if data.Len() == 0 {
		c.deaf = whole
		n, err := c.tls.Read(t.one[:])
		c.deaf = false
		if n == 0 {
			return err
		}
		_, _ = data.Seek(0, io.SeekStart)
		if data.Len() == 0 {
			return errOtherTLS // a record that TLS 1.3 does not have came behind this one
		}
	}
	_, _ = data.WriteTo(t)
	return nil
}

// copyIn hands out what is not in the room.
func (c *Conn) copyIn(t *taking, rooms func() Room) {
	in := rawInput(c.tls)
	rest := in.Bytes()
	if len(rest) > 0 && t.has(rest) {
		t.enter(rooms, rest)
		*in = *bytes.NewBuffer(t.b[:t.end:t.end])
	} else {
		t.enter(rooms, nil)
	}
	from := t.end
	t.end += copy(t.b[from:], t.got)
	t.hand(t.b[from:t.end])
}

// Write is for data.WriteTo: what a bytes.Reader reads it has where it is.
func (t *taking) Write(b []byte) (int, error) {
	t.got = b
	return len(b), nil
}

func (t *taking) hand(b []byte) {
	t.parts[t.n] = b
	t.n++
}

// has reports whether b is part of the room, or nothing.
func (t *taking) has(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	if t.room == nil {
		return false
	}
	from, at := uintptr(unsafe.Pointer(unsafe.SliceData(t.b))), uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	return at >= from && at+uintptr(len(b)) <= from+uintptr(len(t.b))
}

// enter begins a room anew, with rest at its start. If others hold the old one it
// is another one.
func (t *taking) enter(rooms func() Room, rest []byte) {
	old := t.room
	if old == nil || !old.Alone() {
		t.room = rooms()
		t.b = t.room.Bytes()
		t.b = t.b[:min(len(t.b), segmentSize)]
	} else {
		old = nil
	}
	t.end = copy(t.b, rest)
	if old != nil {
		old.Release()
	}
}

// roomEnough is how much a read of the socket can bring at least.
const roomEnough = segmentSize * 3 / 4

// fetchInto is fetch for a room.
func (c *Conn) fetchInto(t *taking, rooms func() Room) error {
	in := rawInput(c.tls)
	rest := in.Bytes()
	atEnd := t.room != nil && t.has(rest) && (len(rest) == 0 || &t.b[t.end-1] == &rest[len(rest)-1])
	if !atEnd || len(t.b)-t.end < roomEnough {
		t.enter(rooms, rest)
	}
	n, err := c.Read(t.b[t.end:])
	from := t.end - len(rest)
	t.end += n
	*in = *bytes.NewBuffer(t.b[from:t.end:t.end])
	if err != nil && !WouldBlock(err) {
		c.failed = err
	}
	return err
}

// Leave gives back what TryTake reads into, for who reads no more.
func (c *Conn) Leave() {
	if c.taken != nil {
		c.leave(c.taken, nil)
	}
}

// leave gives the room back, but for the part of a record that has come.
func (c *Conn) leave(t *taking, err error) {
	if lending && c.tls != nil && c.now != nil {
		if h := hand(c.tls); h.Len() == 0 && h.Cap() > 0 {
			*h = bytes.Buffer{}
		}
		in := rawInput(c.tls)
		if in.Len() > 0 && t.has(in.Bytes()) && WouldBlock(err) {
			return
		}
		if in.Len() == 0 || t.has(in.Bytes()) {
			*in = bytes.Buffer{}
		}
	}
	if t.room != nil {
		t.room.Release()
	}
	*t = taking{}
	takings.Put(t)
	c.taken = nil
}

package mux

import "sync"

// piece is data that waits for its reader: b is part of seg.
type piece struct {
	seg *Segment
	b   []byte
	own bool // seg is of this queue alone, and behind b there may be room
}

// queue is a stream's data that nobody has read yet. Empty, it holds nothing.
type queue struct {
	pieces []piece
	first  int
	len    int // bytes
}

// somePieces is what most queues ever hold: 256 KiB in frames of ours. An empty
// queue gives them back.
type somePieces [16]piece

var piecePool = sync.Pool{New: func() any { return new(somePieces) }}

// heldMax is how much waits for a reader before what comes in a room is copied: who
// keeps up has it without a copy, and who does not pins no whole room by a part.
const heldMax = 128 << 10

// stays reports whether b, of a frame's body of size bytes, stays where it is.
func (q *queue) stays(seg *Segment, b []byte, size int) bool {
	return size > copyMax && (len(seg.B) <= SegmentSize || len(b) > copyMax && q.len <= heldMax)
}

// add appends b, which is part of seg and of a frame's body of size bytes. The
// pieces of a large one stay where they are: next to each other, as far as they
// are in one segment.
func (q *queue) add(seg *Segment, b []byte, size int) {
	stays := q.stays(seg, b, size)
	q.len += len(b)
	if stays {
		if n := len(q.pieces); n > q.first {
			if p := &q.pieces[n-1]; p.seg == seg && cap(p.b) > len(p.b) && &p.b[:len(p.b)+1][len(p.b)] == &b[0] {
				p.b = p.b[:len(p.b)+len(b)]
				return
			}
		}
		seg.hold()
		q.push(piece{seg: seg, b: b})
		return
	}
	q.copyIn(b)
}

// copyIn appends a copy of b.
func (q *queue) copyIn(b []byte) {
	if n := len(q.pieces); n > q.first {
		if p := &q.pieces[n-1]; p.own && cap(p.b)-len(p.b) >= len(b) {
			p.b = append(p.b, b...)
			return
		}
	}
	for len(b) > 0 { // a room's part may be longer than what is lent for copies
		n := min(len(b), SegmentSize)
		own := segmentFor(n)
		q.push(piece{seg: own, b: append(own.B[:0], b[:n]...), own: true})
		b = b[n:]
	}
}

// push makes use of the room of those that are read before it asks for more.
func (q *queue) push(p piece) {
	if q.first > 0 && len(q.pieces) == cap(q.pieces) {
		n := copy(q.pieces, q.pieces[q.first:])
		clear(q.pieces[n:])
		q.pieces, q.first = q.pieces[:n], 0
	}
	if q.pieces == nil {
		q.pieces = piecePool.Get().(*somePieces)[:0]
	}
	q.pieces = append(q.pieces, p)
}

// read copies what is there, at most len(b) bytes.
func (q *queue) read(b []byte) (n int) {
	for n < len(b) && q.first < len(q.pieces) {
		p := &q.pieces[q.first]
		m := copy(b[n:], p.b)
		n += m
		if p.b = p.b[m:]; len(p.b) == 0 {
			p.seg.Release()
			q.drop()
		}
	}
	q.len -= n
	return n
}

// lend moves up to size bytes to l, which holds their segments from then on.
func (q *queue) lend(l *loan, size int) (n int) {
	for l.len < len(l.bufs) && n < size && q.first < len(q.pieces) {
		p := &q.pieces[q.first]
		b, seg := p.b, p.seg
		if len(b) > size-n {
			b = b[:size-n]
			p.b = p.b[len(b):]
			seg.hold()
		} else {
			q.drop()
		}
		l.bufs[l.len], l.segs[l.len] = b, seg
		l.len++
		n += len(b)
	}
	q.len -= n
	return n
}

// drop forgets the first piece.
func (q *queue) drop() {
	q.pieces[q.first] = piece{}
	if q.first++; q.first < len(q.pieces) {
		return
	}
	q.giveBack()
}

// giveBack is for a queue whose pieces are all dropped.
func (q *queue) giveBack() {
	if cap(q.pieces) == len(somePieces{}) {
		piecePool.Put((*somePieces)(q.pieces[:cap(q.pieces)]))
	}
	q.pieces, q.first = nil, 0
}

func (q *queue) clear() {
	for _, p := range q.pieces[q.first:] {
		p.seg.Release()
	}
	clear(q.pieces)
	q.giveBack()
	q.len = 0
}

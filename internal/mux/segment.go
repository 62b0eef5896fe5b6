package mux

import (
	"sync"
	"sync/atomic"
)

// SegmentSize is how much is read at once. Two frames of ours fill it: what
// nobody reads pins little more than itself.
const SegmentSize = 32 << 10

// The sizes of segments. What arrives in small pieces is copied into small
// ones: a piece that nobody reads must not pin a large one.
var sizes = [...]int{1 << 10, 4 << 10, 16 << 10, SegmentSize, FlushSize}

// copyMax is the longest body of a frame that is copied. A longer one pins at
// most a few times as much as it is.
const copyMax = SegmentSize / 4

// Segment is a buffer that several pieces of data may share. Whoever holds one
// gives it back by Release.
type Segment struct {
	B    []byte
	refs atomic.Int32
	pool *sync.Pool
}

var (
	pools  [len(sizes)]sync.Pool
	inUse  atomic.Int64                              // segments
	byFits = func() (p [SegmentSize/1024 + 1]int8) { // the pool for so many KiB
		for kib := range p {
			for i, s := range sizes {
				if kib<<10 <= s {
					p[kib] = int8(i)
					break
				}
			}
		}
		return p
	}()
)

// NewSegment gives an empty segment of SegmentSize.
func NewSegment() *Segment { return newSegment(len(sizes) - 2) }

// NewRoom gives an empty segment that four of the largest records of TLS fit into.
// What is read into it stays there, between their headers.
func NewRoom() *Segment { return newSegment(len(sizes) - 1) }

// Bytes is all of it.
func (s *Segment) Bytes() []byte { return s.B }

// segmentFor gives one that holds n bytes, at most SegmentSize.
func segmentFor(n int) *Segment { return newSegment(int(byFits[(n+1023)>>10])) }

func newSegment(class int) *Segment {
	p := &pools[class]
	s, _ := p.Get().(*Segment)
	if s == nil {
		s = &Segment{B: make([]byte, sizes[class]), pool: p}
	}
	s.refs.Store(1)
	inUse.Add(1)
	return s
}

// InUse is how many segments there are that nobody has given back.
func InUse() int64 { return inUse.Load() }

// Release gives the caller's hold on s back.
func (s *Segment) Release() {
	switch n := s.refs.Add(-1); {
	case n == 0:
		inUse.Add(-1)
		s.pool.Put(s)
	case n < 0:
		panic("mux: a segment was released twice")
	}
}

func (s *Segment) hold() { s.refs.Add(1) }

// Alone reports that nobody but the caller holds s.
func (s *Segment) Alone() bool { return s.refs.Load() == 1 }

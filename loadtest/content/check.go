package content

import (
	"bytes"
	"encoding/binary"

	"trunkline/loadtest/result"
)

// Checker is written what arrived, and tells what became of it. Its Write never
// errs.
type Checker struct {
	id    ID
	size  int64
	place int64 // of the next byte, as far as it is known
	got   int64 // bytes that came
	cell  [cellSize]byte
	have  int // bytes of cell
	found result.Checked
}

// NewChecker expects the first size bytes of id.
func NewChecker(id ID, size int64) *Checker { return &Checker{id: id, size: size} }

func (c *Checker) Write(b []byte) (int, error) {
	n := len(b)
	c.got += int64(n)
	for len(b) > 0 {
		k := copy(c.cell[c.have:], b)
		c.have, b = c.have+k, b[k:]
		if c.have == cellSize {
			c.judge()
		}
	}
	return n, nil
}

// judge counts the cell that is there, as far as it is there.
func (c *Checker) judge() {
	b := c.cell[:c.have]
	c.have = 0
	if n, whole := c.number(b); whole && c.isCell(b, n) && int64(n)*cellSize < c.size {
		switch at := int64(n) * cellSize; {
		case at < c.place:
			c.found.Duplicated += int64(len(b))
			return
		case at > c.place:
			c.found.Lost += at - c.place
			c.place = at
		}
		c.found.Bytes += int64(len(b))
		c.place += int64(len(b))
		return
	}
	// Not what a cell looks like. Byte by byte it may be partly right, yet a
	// cell is damaged or it is not.
	if c.isCell(b, uint64(c.place/cellSize)) {
		c.found.Bytes += int64(len(b))
	} else {
		c.found.Corrupted += int64(len(b))
	}
	c.place += int64(len(b))
}

// number is the cell's own, if so much of it is there.
func (c *Checker) number(b []byte) (uint64, bool) {
	if len(b) < headSize {
		return 0, false
	}
	return binary.BigEndian.Uint64(b[8:]), true
}

// isCell reports whether b is the beginning of cell n of ours.
func (c *Checker) isCell(b []byte, n uint64) bool {
	var head [headSize]byte
	binary.BigEndian.PutUint32(head[:], c.id.Device)
	binary.BigEndian.PutUint32(head[4:], c.id.Object)
	binary.BigEndian.PutUint64(head[8:], n)
	if len(b) <= headSize {
		return bytes.Equal(b, head[:len(b)])
	}
	return bytes.Equal(b[:headSize], head[:]) && bytes.Equal(b[headSize:], filler(c.id, n)[:len(b)-headSize])
}

// Received is how many bytes came.
func (c *Checker) Received() int64 { return c.got }

// Sum tells what became of the bytes. ended says that the transfer ended as if
// it were whole: then what is missing is lost. One that broke off has lost
// nothing without saying so.
func (c *Checker) Sum(ended bool) result.Checked {
	if c.have > 0 {
		c.judge()
	}
	f := c.found
	switch {
	case c.place > c.size: // more came than there is
		extra := c.place - c.size
		f.Duplicated += extra
		f.Bytes = max(f.Bytes-extra, 0)
	case ended && c.place < c.size:
		f.Lost += c.size - c.place
	}
	return f
}

package store

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// rangeList are numbers of ranges, ascending.
type rangeList []int32

// A list is stored after a byte that says how: the differences of its numbers
// as Protocol Buffers' varints, which most pieces have few of, or a bit for each
// number, the lowest of each byte first, if that is shorter.
const (
	asGaps byte = iota
	asBits
)

// add puts in n, which is mostly above all others.
func (l rangeList) add(n int32) rangeList {
	if len(l) > 0 && l[len(l)-1] >= n {
		both, _ := l.or(rangeList{n})
		return both
	}
	return append(l, n)
}

// or has what either has; more says whether that is more than l has.
func (l rangeList) or(o rangeList) (both rangeList, more bool) {
	both = make(rangeList, 0, len(l)+len(o))
	for len(l) > 0 || len(o) > 0 {
		switch {
		case len(o) == 0 || len(l) > 0 && l[0] < o[0]:
			both, l = append(both, l[0]), l[1:]
		case len(l) == 0 || o[0] < l[0]:
			both, o, more = append(both, o[0]), o[1:], true
		default:
			both, l, o = append(both, l[0]), l[1:], o[1:]
		}
	}
	return both, more
}

// and is what both have.
func (l rangeList) and(o rangeList) (both rangeList) {
	for len(l) > 0 && len(o) > 0 {
		switch {
		case l[0] < o[0]:
			l = l[1:]
		case o[0] < l[0]:
			o = o[1:]
		default:
			both, l, o = append(both, l[0]), l[1:], o[1:]
		}
	}
	return both
}

// bits has one for each number, as PostgreSQL's get_bit counts them.
func (l rangeList) bits() []byte {
	if len(l) == 0 {
		return []byte{}
	}
	b := make([]byte, l[len(l)-1]/8+1)
	for _, n := range l {
		b[n/8] |= 1 << (n % 8)
	}
	return b
}

func (l rangeList) encode() []byte {
	gaps, last := append(make([]byte, 0, 2*len(l)+2), asGaps), int32(-1)
	for _, n := range l {
		gaps, last = binary.AppendUvarint(gaps, uint64(n-last)), n
	}
	if last >= 0 && int(last/8)+1 < len(gaps)-1 {
		return append([]byte{asBits}, l.bits()...)
	}
	return gaps
}

// encodedHas says whether an encoded list has all of l; false if that takes to
// decode it.
func encodedHas(b []byte, l rangeList) bool {
	if len(b) == 0 || b[0] != asBits {
		return false
	}
	for _, n := range l {
		if i := int(n/8) + 1; i >= len(b) || b[i]&(1<<(n%8)) == 0 {
			return false
		}
	}
	return true
}

var errRangeList = errors.New("a list of ranges is damaged; to have control make all anew: BEGIN; DELETE FROM range_pieces; DELETE FROM serial_pieces; INSERT INTO text_changes (device) SELECT id FROM devices; INSERT INTO serial_changes (device) SELECT id FROM devices; COMMIT")

func decodeRanges(b []byte) (l rangeList, err error) {
	if len(b) == 0 || b[0] > asBits {
		return nil, errRangeList
	}
	l = make(rangeList, 0, 2*len(b))
	if how, b := b[0], b[1:]; how == asBits {
		for i, x := range b {
			for ; x != 0; x &= x - 1 {
				l = append(l, int32(i*8+bits.TrailingZeros8(x)))
			}
		}
		return l, nil
	}
	for b, last := b[1:], int64(-1); len(b) > 0; {
		gap, n := binary.Uvarint(b)
		if n <= 0 || gap == 0 || gap > maxRange || last+int64(gap) > maxRange {
			return nil, errRangeList
		}
		last, b = last+int64(gap), b[n:]
		l = append(l, int32(last))
	}
	return l, nil
}

// maxRange is above any range's number: it keeps a damaged list from asking for
// all memory.
const maxRange = 1 << 24

package store

import (
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

// SQLite's index of searches gives what matches in the order of its row
// numbers. So these, the places of devices, follow the order of names, with room
// for others to come between them: a list-labelling structure. A place is a
// bucket's label and a slot in the bucket. Labels follow the order of names, slots
// do not: what is read of a bucket is sorted. So nearly every device that comes
// finds a free slot, and moves no other.

// slotBits are the lowest bits of a place, which say the slot.
const slotBits = 6

// numbering is how places are given.
type numbering struct {
	slots  int   // devices in a bucket, 1 << slotBits at most
	stride int64 // labels between a new bucket at an end of the order and its neighbour
	sparse int64 // labels between buckets, on average, once they have made room
}

// The index keeps differences of places, in 7 bits a byte: most differences are
// of one byte within a bucket, and of three to the next ones.
var roomy = numbering{slots: 1 << slotBits, stride: 1 << 12, sparse: 1 << 6}

func labelOf(place int64) int64 { return place >> slotBits }

// freePlace is a place for a device of this name. Others are moved if there is
// none.
func (t *tx) freePlace(name string, d id.Device) (int64, error) {
	for {
		n, err := one(t, scanNeighbours, selectNeighbours, name, d)
		switch {
		case err != nil:
			return 0, err
		case !n.low.Valid && !n.high.Valid:
			return 0, nil
		case n.low.Valid && int(n.last.Int64&(1<<slotBits-1))+1 < t.slots:
			return n.last.Int64 + 1, nil
		}
		for _, beside := range []sql.NullInt64{n.low, n.high} {
			if !beside.Valid {
				continue
			}
			if place, free, err := t.freeSlot(labelOf(beside.Int64)); err != nil || free {
				return place, err
			}
		}
		low, high := labelOf(n.low.Int64), labelOf(n.high.Int64)
		switch {
		case !n.high.Valid:
			return (low + t.stride) << slotBits, nil
		case !n.low.Valid:
			return (high - t.stride) << slotBits, nil
		case low == high:
			err = t.split(low, name, d)
		default:
			label, free := between(low, high)
			if free {
				return label << slotBits, nil
			}
			err = t.makeRoom(low, high)
		}
		if err != nil {
			return 0, err
		}
	}
}

// neighbours are the places next to a name, and the last one taken in the bucket
// of the lower one: after that is nearly always a free one.
type neighbours struct{ low, high, last sql.NullInt64 }

var selectNeighbours = fmt.Sprintf(`SELECT low, high, (SELECT MAX(d.place) FROM devices d WHERE d.place BETWEEN low & ~%[1]d AND low | %[1]d) FROM (SELECT
	(SELECT d.place FROM devices d WHERE (d.sort_name, d.id) < ($1, $2) ORDER BY d.sort_name DESC, d.id DESC LIMIT 1) AS low,
	(SELECT d.place FROM devices d WHERE (d.sort_name, d.id) > ($1, $2) ORDER BY d.sort_name, d.id LIMIT 1) AS high)`, 1<<slotBits-1)

func scanNeighbours(r scanner) (n neighbours, err error) {
	err = r.Scan(&n.low, &n.high, &n.last)
	return n, err
}

func scanPlace(r scanner) (n int64, err error) {
	err = r.Scan(&n)
	return n, err
}

func (t *tx) freeSlot(label int64) (place int64, free bool, err error) {
	first := label << slotBits
	taken, err := all(t, scanPlace, "SELECT d.place FROM devices d WHERE d.place BETWEEN $1 AND $2 ORDER BY d.place", first, first|(1<<slotBits-1))
	if err != nil || len(taken) >= t.slots {
		return 0, false, err
	}
	place = first
	for _, p := range taken {
		if p != place {
			break
		}
		place++
	}
	return place, true, nil
}

func between(low, high int64) (label int64, free bool) {
	return low + (high-low)/2, high-low >= 2
}

// split parts a full bucket where a device of this name comes, by moving the
// fewer ones. Between such halves names that count up or down move none.
func (t *tx) split(label int64, name string, d id.Device) error {
	in, err := t.members(label)
	if err != nil {
		return err
	}
	var before, after []indexed
	for _, x := range in {
		if cmp.Or(cmp.Compare(x.name, name), cmp.Compare(x.id, d)) < 0 {
			before = append(before, x)
		} else {
			after = append(after, x)
		}
	}
	low, high, moved := label, label, after
	if len(before) < len(after) {
		moved = before
		low, err = t.nextLabel(label, -1)
	} else {
		high, err = t.nextLabel(label, 1)
	}
	if err != nil {
		return err
	}
	if to, free := between(low, high); free {
		return t.move(moved, to)
	}
	return t.makeRoom(low, high)
}

// makeRoom moves buckets so that there are labels between two neighbours: as few
// as have room enough together with what is beyond them, on either side.
func (t *tx) makeRoom(low, high int64) error {
	up, down := []int64{high}, []int64{low}
	for {
		above, err := t.nextLabel(up[len(up)-1], 1)
		if err != nil {
			return err
		}
		if gap := (above - low) / int64(len(up)+1); gap >= t.sparse {
			return t.spread(up, low, gap)
		}
		below, err := t.nextLabel(down[len(down)-1], -1)
		if err != nil {
			return err
		}
		if gap := (high - below) / int64(len(down)+1); gap >= t.sparse {
			slices.Reverse(down)
			return t.spread(down, high-gap*int64(len(down)+1), gap)
		}
		up, down = append(up, above), append(down, below)
	}
}

// nextLabel is the next bucket's above (1) or below (-1) one; a stride away if
// that is the last.
func (t *tx) nextLabel(label int64, side int64) (int64, error) {
	query, from := "SELECT d.place FROM devices d WHERE d.place >= $1 ORDER BY d.place LIMIT 1", (label+1)<<slotBits
	if side < 0 {
		query, from = "SELECT d.place FROM devices d WHERE d.place < $1 ORDER BY d.place DESC LIMIT 1", label<<slotBits
	}
	next, err := one(t, scanPlace, query, from)
	if errors.Is(err, fleet.ErrNoRow) {
		return label + side*t.stride, nil
	}
	return labelOf(next), err
}

// spread gives buckets, by their labels in order, new ones after start, gap
// apart. Those that go down go first, from the lowest, and then those that go up,
// from the highest: so none comes upon another's old label.
func (t *tx) spread(buckets []int64, start, gap int64) error {
	to := func(i int) int64 { return start + int64(i+1)*gap }
	for i, label := range buckets {
		if to(i) < label {
			if err := t.moveBucket(label, to(i)); err != nil {
				return err
			}
		}
	}
	for i, label := range slices.Backward(buckets) {
		if to(i) > label {
			if err := t.moveBucket(label, to(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *tx) moveBucket(label, to int64) error {
	in, err := t.members(label)
	if err != nil {
		return err
	}
	return t.move(in, to)
}

// members are in the order of their places.
func (t *tx) members(label int64) ([]indexed, error) {
	return all(t, scanIndexed, selectIndexed+" WHERE d.place BETWEEN $1 AND $2 ORDER BY d.place", label<<slotBits, label<<slotBits|(1<<slotBits-1))
}

// move puts devices into an empty bucket. The index is told in the order of
// places, all that goes first: it writes down what it has whenever a lower one
// follows.
func (t *tx) move(devices []indexed, label int64) error {
	for _, x := range devices {
		if err := t.removeWords(x); err != nil {
			return err
		}
	}
	for i, x := range devices {
		x.place = label<<slotBits + int64(i)
		if err := t.change("UPDATE devices SET place = $2 WHERE id = $1", x.id, x.place); err != nil {
			return err
		}
		if err := t.addWords(x); err != nil {
			return err
		}
	}
	return nil
}

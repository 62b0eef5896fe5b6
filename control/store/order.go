package store

import (
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

// An index of searches on SQLite gives what matches in the order of its row
// numbers. So these, the places of devices, follow the order of names in one index
// and that of serial numbers in another, with room for others to come between
// them: a list-labelling structure. A place is a bucket's label and a slot in the
// bucket. Labels follow the order, slots do not: what is read of a bucket is
// sorted. So nearly every device that comes finds a free slot, and moves no other.

// keyed is an order that searches have an index in: not that of last changes, which
// every connection changes.
type keyed struct {
	key string // what devices d are ordered by, and then by their ids
	of  func(fleet.Device) string

	place, index            string // on SQLite, the column of places and the index
	ranges, pieces, changes string // on PostgreSQL, the tables of ranges
	texts                   string // and that of texts
}

var (
	byName = keyed{key: "d.sort_name", of: sortName, place: "place", index: "devices_search",
		ranges: "name_ranges", pieces: "range_pieces", changes: "text_changes", texts: "device_texts"}
	bySerial = keyed{key: "COALESCE(d.serial, '')", of: func(d fleet.Device) string { return string(d.Serial) }, place: "serial_place", index: "devices_search_serial",
		ranges: "serial_ranges", pieces: "serial_pieces", changes: "serial_changes", texts: "devices"}
	keyeds = []keyed{byName, bySerial}
)

// on is a statement on that order.
func (k keyed) on(text string) string {
	return strings.NewReplacer("{key}", k.key, "{place}", k.place, "{index}", k.index,
		"{ranges}", k.ranges, "{pieces}", k.pieces, "{changes}", k.changes, "{texts}", k.texts).Replace(text)
}

// placed gives devices their places in an order.
type placed struct {
	*tx
	keyed
}

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

// freePlace is a place for a device that is ordered by key. Others are moved if
// there is none.
func (p placed) freePlace(key string, d id.Device) (int64, error) {
	for {
		n, err := p.neighbours(key, d)
		switch {
		case err != nil:
			return 0, err
		case !n.low.Valid && !n.high.Valid:
			return 0, nil
		case n.low.Valid && int(n.last.Int64&(1<<slotBits-1))+1 < p.slots:
			return n.last.Int64 + 1, nil
		}
		for _, beside := range []sql.NullInt64{n.low, n.high} {
			if !beside.Valid {
				continue
			}
			if place, free, err := p.freeSlot(labelOf(beside.Int64)); err != nil || free {
				return place, err
			}
		}
		low, high := labelOf(n.low.Int64), labelOf(n.high.Int64)
		switch {
		case !n.high.Valid:
			return (low + p.stride) << slotBits, nil
		case !n.low.Valid:
			return (high - p.stride) << slotBits, nil
		case low == high:
			err = p.split(low, key, d)
		default:
			label, free := between(low, high)
			if free {
				return label << slotBits, nil
			}
			err = p.makeRoom(low, high)
		}
		if err != nil {
			return 0, err
		}
	}
}

// neighbours are the places next to a device, and the last one taken in the bucket
// of the lower one: after that is nearly always a free one.
type neighbours struct{ low, high, last sql.NullInt64 }

// Pairs compared as such are not looked up on an index of an expression.
func (p placed) neighbours(key string, d id.Device) (neighbours, error) {
	return one(p.tx, func(r scanner) (n neighbours, err error) {
		err = r.Scan(&n.low, &n.high, &n.last)
		return n, err
	}, p.on(fmt.Sprintf(`SELECT low, high, (SELECT MAX(d.{place}) FROM devices d WHERE d.{place} BETWEEN low & ~%[1]d AND low | %[1]d) FROM (SELECT
		COALESCE((SELECT d.{place} FROM devices d WHERE {key} = $1 AND d.id < $2 AND d.{place} IS NOT NULL ORDER BY d.id DESC LIMIT 1),
			(SELECT d.{place} FROM devices d WHERE {key} < $1 AND d.{place} IS NOT NULL ORDER BY {key} DESC, d.id DESC LIMIT 1)) AS low,
		COALESCE((SELECT d.{place} FROM devices d WHERE {key} = $1 AND d.id > $2 AND d.{place} IS NOT NULL ORDER BY d.id LIMIT 1),
			(SELECT d.{place} FROM devices d WHERE {key} > $1 AND d.{place} IS NOT NULL ORDER BY {key}, d.id LIMIT 1)) AS high)`, 1<<slotBits-1)), key, d)
}

func scanPlace(r scanner) (n int64, err error) {
	err = r.Scan(&n)
	return n, err
}

func (p placed) freeSlot(label int64) (place int64, free bool, err error) {
	first := label << slotBits
	taken, err := all(p.tx, scanPlace, p.on("SELECT d.{place} FROM devices d WHERE d.{place} BETWEEN $1 AND $2 ORDER BY d.{place}"), first, first|(1<<slotBits-1))
	if err != nil || len(taken) >= p.slots {
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

// split parts a full bucket where a device comes, by moving the fewer ones. Between
// such halves names that count up or down move none.
func (p placed) split(label int64, key string, d id.Device) error {
	in, err := p.members(label)
	if err != nil {
		return err
	}
	var before, after []indexed
	for _, x := range in {
		if cmp.Or(cmp.Compare(x.key, key), cmp.Compare(x.id, d)) < 0 {
			before = append(before, x)
		} else {
			after = append(after, x)
		}
	}
	low, high, moved := label, label, after
	if len(before) < len(after) {
		moved = before
		low, _, err = p.nextLabel(label, -1)
	} else {
		high, _, err = p.nextLabel(label, 1)
	}
	if err != nil {
		return err
	}
	if to, free := between(low, high); free {
		return p.move(moved, to)
	}
	return p.makeRoom(low, high)
}

// makeRoom moves buckets so that there are labels between two neighbours: as few
// as have room enough together with what is beyond them, on either side. Beyond the
// last one there is as much as is wanted.
func (p placed) makeRoom(low, high int64) error {
	up, down := []int64{high}, []int64{low}
	for {
		above, end, err := p.nextLabel(up[len(up)-1], 1)
		if err != nil {
			return err
		}
		if end {
			above = low + p.stride*int64(len(up)+1)
		}
		if gap := (above - low) / int64(len(up)+1); gap >= p.sparse {
			return p.spread(up, low, gap)
		}
		below, end, err := p.nextLabel(down[len(down)-1], -1)
		if err != nil {
			return err
		}
		if end {
			below = high - p.stride*int64(len(down)+1)
		}
		if gap := (high - below) / int64(len(down)+1); gap >= p.sparse {
			slices.Reverse(down)
			return p.spread(down, high-gap*int64(len(down)+1), gap)
		}
		up, down = append(up, above), append(down, below)
	}
}

// nextLabel is the next bucket's above (1) or below (-1) one; a stride away if
// that is the end.
func (p placed) nextLabel(label int64, side int64) (next int64, end bool, err error) {
	query, from := "SELECT d.{place} FROM devices d WHERE d.{place} >= $1 ORDER BY d.{place} LIMIT 1", (label+1)<<slotBits
	if side < 0 {
		query, from = "SELECT d.{place} FROM devices d WHERE d.{place} < $1 ORDER BY d.{place} DESC LIMIT 1", label<<slotBits
	}
	place, err := one(p.tx, scanPlace, p.on(query), from)
	if errors.Is(err, fleet.ErrNoRow) {
		return label + side*p.stride, true, nil
	}
	return labelOf(place), false, err
}

// spread gives buckets, by their labels in order, new ones after start, gap
// apart. Those that go down go first, from the lowest, and then those that go up,
// from the highest: so none comes upon another's old label.
func (p placed) spread(buckets []int64, start, gap int64) error {
	to := func(i int) int64 { return start + int64(i+1)*gap }
	for i, label := range buckets {
		if to(i) < label {
			if err := p.moveBucket(label, to(i)); err != nil {
				return err
			}
		}
	}
	for i, label := range slices.Backward(buckets) {
		if to(i) > label {
			if err := p.moveBucket(label, to(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p placed) moveBucket(label, to int64) error {
	in, err := p.members(label)
	if err != nil {
		return err
	}
	return p.move(in, to)
}

// members are in the order of their places.
func (p placed) members(label int64) ([]indexed, error) {
	return all(p.tx, scanIndexed, p.selectIndexed(" WHERE d.{place} BETWEEN $1 AND $2 ORDER BY d.{place}"), label<<slotBits, label<<slotBits|(1<<slotBits-1))
}

// move puts devices into an empty bucket. The index is told in the order of
// places, all that goes first: it writes down what it has whenever a lower one
// follows.
func (p placed) move(devices []indexed, label int64) error {
	for _, x := range devices {
		if err := p.removeWords(x); err != nil {
			return err
		}
	}
	for i, x := range devices {
		x.place = label<<slotBits + int64(i)
		if err := p.change(p.on("UPDATE devices SET {place} = $2 WHERE id = $1"), x.id, x.place); err != nil {
			return err
		}
		if err := p.addWords(x); err != nil {
			return err
		}
	}
	return nil
}

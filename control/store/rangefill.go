package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"trunkline/internal/id"
)

// sizing is how ranges of an order are cut.
type sizing struct {
	devices int // in a range that is made; with four times as many it is parted
	batch   int // changes that are put into ranges in a transaction
	rebuild int // with more changes than this, and than an eighth of all devices, ranges are made anew
}

var roomyRanges = sizing{devices: 16, batch: 2000, rebuild: 4000}

// IndexTexts puts devices whose text changed into the ranges of the orders that
// searches on PostgreSQL go through. What it has not come by yet is
// found too, but more slowly. On SQLite there is nothing to do.
func (s *Store) IndexTexts(ctx context.Context) error {
	if !s.postgres {
		return nil
	}
	for _, k := range keyeds {
		if err := s.indexOrder(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) indexOrder(ctx context.Context, k keyed) error {
	for {
		var rebuilt, more bool
		// Not serialisable: it conflicts with no one who writes devices. But of one
		// moment, so that what is taken away as a change is in the text that is read.
		t, err := s.write.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
		if err != nil {
			return fmt.Errorf("begin: %w", classified(err))
		}
		err = func() (err error) {
			defer func() { _ = t.Rollback() }() // after a commit it does nothing
			f := filler{tx: &tx{ctx: ctx, sql: t, postgres: true}, keyed: k, sizing: s.ranges, found: make(map[string]rangeList)}
			if rebuilt, more, err = f.fill(); err != nil {
				return err
			}
			return classified(t.Commit())
		}()
		if err != nil {
			return err
		}
		if rebuilt { // what is gone is read through until somebody cleans up
			if _, err := s.write.ExecContext(ctx, k.on("VACUUM ANALYZE {changes}, {ranges}, {pieces}")); err != nil {
				return classified(err)
			}
		}
		if !more {
			return nil
		}
	}
}

// filler fills the ranges.
type filler struct {
	*tx
	keyed
	sizing
	found map[string]rangeList // to be put in
}

// fill takes the changes that there are, or a batch of them if there are more.
func (f *filler) fill() (rebuilt, more bool, err error) {
	// One replica at a time. This statement, unlike a query, is before the moment
	// that the transaction sees (PostgreSQL's documentation, LOCK).
	if err := f.insert(f.on("LOCK TABLE {ranges} IN SHARE UPDATE EXCLUSIVE MODE")); err != nil {
		return false, false, err
	}
	changes, err := f.count(f.on("SELECT COUNT(*) FROM {changes}"))
	if err != nil || changes == 0 {
		return false, false, err
	}
	var devices, since, newest int64
	err = f.sql.QueryRowContext(f.ctx, f.on("SELECT (SELECT COUNT(*) FROM {texts}), (SELECT MIN(since) FROM {ranges}), (SELECT MAX(seq) FROM {changes})")).Scan(&devices, &since, &newest)
	if err != nil {
		return false, false, classified(err)
	}
	// Nothing is taken out of lists but by making all anew: that is done as often as
	// all devices have changed once.
	if int64(changes) > max(int64(f.rebuild), devices/8) || newest-since > max(int64(f.rebuild), devices) {
		return true, false, f.build(newest)
	}
	return false, changes > f.batch, f.put(newest)
}

// changed is a device to be put into a range.
type changed struct {
	ranged     int
	name, text string
}

func scanChanged(r scanner) (c changed, err error) {
	err = r.Scan(&c.ranged, &c.name, &c.text)
	return c, err
}

// put puts in a batch of changes.
func (f *filler) put(newest int64) error {
	ids, err := all(f.tx, func(r scanner) (d id.Device, err error) { err = r.Scan(&d); return d, err },
		f.on("DELETE FROM {changes} WHERE seq IN (SELECT seq FROM {changes} ORDER BY seq LIMIT $1) RETURNING device"), f.batch)
	if err != nil {
		return err
	}
	in, err := all(f.tx, scanChanged, f.on(`SELECT (SELECT r.range FROM {ranges} r WHERE r.low <= {key} ORDER BY r.low DESC LIMIT 1), {key}, d.search
		FROM {texts} d WHERE d.id = ANY ($1)`), ids)
	if err != nil {
		return err
	}
	grown := make(map[int]int)
	for _, c := range in {
		f.add(c.text, c.ranged)
		grown[c.ranged]++
	}
	for _, n := range slices.Sorted(maps.Keys(grown)) {
		var devices int
		if err := f.sql.QueryRowContext(f.ctx, f.on("UPDATE {ranges} SET devices = devices + $2 WHERE range = $1 RETURNING devices"), n, grown[n]).Scan(&devices); err != nil {
			return classified(err)
		}
		if devices > 4*f.devices {
			if err := f.part(n, newest); err != nil {
				return err
			}
		}
	}
	return f.write()
}

// part gives the second half of a range that has grown large to a new one. What
// is left stays in its lists.
func (f *filler) part(n int, newest int64) error {
	r, err := one(f.tx, scanRange, f.on("SELECT low, high FROM {ranges} WHERE range = $1"), n)
	if err != nil {
		return err
	}
	in, err := all(f.tx, scanChanged, f.on("SELECT 0, {key}, d.search FROM {texts} d WHERE {key} >= $1 AND {key} < $2 ORDER BY {key}"), r.low, r.high)
	if err != nil {
		return err
	}
	half := middle(in)
	if len(in) <= 4*f.devices || half == 0 { // of those that were put in some are gone, or were there; or all have one name
		return f.change(f.on("UPDATE {ranges} SET devices = $2 WHERE range = $1"), n, min(len(in), 3*f.devices))
	}
	low, fresh := in[half].name, 0
	err = f.sql.QueryRowContext(f.ctx, f.on("INSERT INTO {ranges} (range, low, high, devices, since) SELECT MAX(range) + 1, $1, $2, $3, $4 FROM {ranges} RETURNING range"),
		low, r.high, len(in)-half, newest).Scan(&fresh)
	if err != nil {
		return classified(err)
	}
	for _, c := range in[half:] {
		f.add(c.text, fresh)
	}
	return f.change(f.on("UPDATE {ranges} SET high = $2, devices = $3 WHERE range = $1"), n, low, half)
}

// middle is where to part devices in the order of their names, as near to the
// middle as those of one name can be kept together; 0 if all have the same.
func middle(in []changed) int {
	parts := func(i int) bool { return in[i].name != in[i-1].name }
	for half, off := len(in)/2, 0; off <= len(in)/2; off++ {
		if i := half - off; i > 0 && parts(i) {
			return i
		}
		if i := half + off; i > 0 && i < len(in) && parts(i) {
			return i
		}
	}
	return 0
}

// build makes all ranges anew.
func (f *filler) build(newest int64) error {
	if err := f.insert("SET LOCAL statement_timeout = 0"); err != nil { // control's is for searches
		return err
	}
	for _, table := range []string{f.changes, f.ranges, f.pieces} {
		if err := f.insert("DELETE FROM " + table); err != nil {
			return err
		}
	}
	rows, err := f.sql.QueryContext(f.ctx, f.on("SELECT {key}, d.search FROM {texts} d ORDER BY {key}"))
	if err != nil {
		return classified(err)
	}
	defer rows.Close()
	lows, devices, last := []string{""}, []int64{0}, ""
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			return classified(err)
		}
		if devices[len(devices)-1] >= int64(f.devices) && name != last {
			lows, devices = append(lows, name), append(devices, 0)
		}
		last = name
		devices[len(devices)-1]++
		f.add(text, len(lows)-1)
	}
	if err := rows.Err(); err != nil {
		return classified(err)
	}
	err = f.insert(f.on(`INSERT INTO {ranges} (range, low, high, devices, since)
		SELECT n - 1, low, LEAD(low, 1, $4) OVER (ORDER BY n), devices, $3 FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY r(low, devices, n)`), lows, devices, newest, keysEnd)
	if err != nil {
		return err
	}
	return f.write()
}

// add puts a range into the lists of all pieces of a text.
func (f *filler) add(text string, n int) {
	for piece := range piecesOf(text) {
		if l := f.found[piece]; len(l) == 0 || l[len(l)-1] != int32(n) {
			f.found[piece] = l.add(int32(n))
		}
	}
}

// writePieces are so many that a statement writes.
const writePieces = 2000

// write adds what was put in to the lists that there are.
func (f *filler) write() error {
	type row struct {
		piece  string
		ranges []byte
	}
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(f.found)), writePieces) {
		was, err := all(f.tx, func(r scanner) (x row, err error) { err = r.Scan(&x.piece, &x.ranges); return x, err },
			f.on("SELECT piece, ranges FROM {pieces} WHERE piece = ANY ($1)"), chunk)
		if err != nil {
			return err
		}
		same := make(map[string]bool)
		for _, x := range was {
			if encodedHas(x.ranges, f.found[x.piece]) {
				same[x.piece] = true
				continue
			}
			l, err := decodeRanges(x.ranges)
			if err != nil {
				return err
			}
			both, more := l.or(f.found[x.piece])
			f.found[x.piece], same[x.piece] = both, !more
		}
		var pieces []string
		var ranges [][]byte
		for _, p := range chunk {
			if !same[p] {
				pieces, ranges = append(pieces, p), append(ranges, f.found[p].encode())
			}
		}
		if len(pieces) == 0 {
			continue
		}
		err = f.insert(f.on(`INSERT INTO {pieces} (piece, ranges) SELECT * FROM unnest($1::text[], $2::bytea[])
			ON CONFLICT (piece) DO UPDATE SET ranges = EXCLUDED.ranges`), pieces, ranges)
		if err != nil {
			return err
		}
	}
	return nil
}

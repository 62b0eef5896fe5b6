package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"trunkline/internal/id"
)

// sizing is how ranges of the order of names are cut.
type sizing struct {
	devices int // in a range that is made; with four times as many it is parted
	batch   int // changes that are put into ranges in a transaction
	rebuild int // with more changes than this, and than an eighth of all devices, ranges are made anew
}

var roomyRanges = sizing{devices: 16, batch: 2000, rebuild: 4000}

// IndexNames puts devices whose text changed into the ranges of the order of
// names that searches on PostgreSQL go through. What it has not come by yet is
// found too, but more slowly. On SQLite there is nothing to do.
func (s *Store) IndexNames(ctx context.Context) error {
	if !s.postgres {
		return nil
	}
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
			f := filler{tx: &tx{ctx: ctx, sql: t, postgres: true}, sizing: s.ranges, pieces: make(map[string]rangeList)}
			if rebuilt, more, err = f.fill(); err != nil {
				return err
			}
			return classified(t.Commit())
		}()
		if err != nil {
			return err
		}
		if rebuilt { // what is gone is read through until somebody cleans up
			if _, err := s.write.ExecContext(ctx, "VACUUM ANALYZE text_changes, name_ranges, range_pieces"); err != nil {
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
	sizing
	pieces map[string]rangeList // to be put in
}

// fill takes the changes that there are, or a batch of them if there are more.
func (f *filler) fill() (rebuilt, more bool, err error) {
	// One replica at a time. This statement, unlike a query, is before the moment
	// that the transaction sees (PostgreSQL's documentation, LOCK).
	if err := f.insert("LOCK TABLE name_ranges IN SHARE UPDATE EXCLUSIVE MODE"); err != nil {
		return false, false, err
	}
	changes, err := f.count("SELECT COUNT(*) FROM text_changes")
	if err != nil || changes == 0 {
		return false, false, err
	}
	var devices, since, newest int64
	err = f.sql.QueryRowContext(f.ctx, "SELECT (SELECT COUNT(*) FROM device_texts), (SELECT MIN(since) FROM name_ranges), (SELECT MAX(seq) FROM text_changes)").Scan(&devices, &since, &newest)
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
		"DELETE FROM text_changes WHERE seq IN (SELECT seq FROM text_changes ORDER BY seq LIMIT $1) RETURNING device", f.batch)
	if err != nil {
		return err
	}
	in, err := all(f.tx, scanChanged, `SELECT (SELECT r.range FROM name_ranges r WHERE r.low <= d.sort_name ORDER BY r.low DESC LIMIT 1), d.sort_name, d.search
		FROM device_texts d WHERE d.id = ANY ($1)`, ids)
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
		if err := f.sql.QueryRowContext(f.ctx, "UPDATE name_ranges SET devices = devices + $2 WHERE range = $1 RETURNING devices", n, grown[n]).Scan(&devices); err != nil {
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
	r, err := one(f.tx, scanRange, "SELECT low, high FROM name_ranges WHERE range = $1", n)
	if err != nil {
		return err
	}
	in, err := all(f.tx, scanChanged, "SELECT 0, d.sort_name, d.search FROM device_texts d WHERE d.sort_name >= $1 AND d.sort_name < $2 ORDER BY d.sort_name", r.low, r.high)
	if err != nil {
		return err
	}
	half := middle(in)
	if len(in) <= 4*f.devices || half == 0 { // of those that were put in some are gone, or were there; or all have one name
		return f.change("UPDATE name_ranges SET devices = $2 WHERE range = $1", n, min(len(in), 3*f.devices))
	}
	low, fresh := in[half].name, 0
	err = f.sql.QueryRowContext(f.ctx, `INSERT INTO name_ranges (range, low, high, devices, since) SELECT MAX(range) + 1, $1, $2, $3, $4 FROM name_ranges RETURNING range`,
		low, r.high, len(in)-half, newest).Scan(&fresh)
	if err != nil {
		return classified(err)
	}
	for _, c := range in[half:] {
		f.add(c.text, fresh)
	}
	return f.change("UPDATE name_ranges SET high = $2, devices = $3 WHERE range = $1", n, low, half)
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
	for _, table := range []string{"text_changes", "name_ranges", "range_pieces"} {
		if err := f.insert("DELETE FROM " + table); err != nil {
			return err
		}
	}
	rows, err := f.sql.QueryContext(f.ctx, "SELECT sort_name, search FROM device_texts ORDER BY sort_name")
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
	err = f.insert(`INSERT INTO name_ranges (range, low, high, devices, since)
		SELECT n - 1, low, LEAD(low, 1, $4) OVER (ORDER BY n), devices, $3 FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY r(low, devices, n)`, lows, devices, newest, namesEnd)
	if err != nil {
		return err
	}
	return f.write()
}

// add puts a range into the lists of all pieces of a text.
func (f *filler) add(text string, n int) {
	for piece := range piecesOf(text) {
		if l := f.pieces[piece]; len(l) == 0 || l[len(l)-1] != int32(n) {
			f.pieces[piece] = l.add(int32(n))
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
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(f.pieces)), writePieces) {
		was, err := all(f.tx, func(r scanner) (x row, err error) { err = r.Scan(&x.piece, &x.ranges); return x, err },
			"SELECT piece, ranges FROM range_pieces WHERE piece = ANY ($1)", chunk)
		if err != nil {
			return err
		}
		same := make(map[string]bool)
		for _, x := range was {
			if encodedHas(x.ranges, f.pieces[x.piece]) {
				same[x.piece] = true
				continue
			}
			l, err := decodeRanges(x.ranges)
			if err != nil {
				return err
			}
			both, more := l.or(f.pieces[x.piece])
			f.pieces[x.piece], same[x.piece] = both, !more
		}
		var pieces []string
		var ranges [][]byte
		for _, p := range chunk {
			if !same[p] {
				pieces, ranges = append(pieces, p), append(ranges, f.pieces[p].encode())
			}
		}
		if len(pieces) == 0 {
			continue
		}
		err = f.insert(`INSERT INTO range_pieces (piece, ranges) SELECT * FROM unnest($1::text[], $2::bytea[])
			ON CONFLICT (piece) DO UPDATE SET ranges = EXCLUDED.ranges`, pieces, ranges)
		if err != nil {
			return err
		}
	}
	return nil
}

package store

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"trunkline/control/fleet"
)

// PostgreSQL's indexes of texts give what matches in no order. So the orders of
// names and of serial numbers are cut into ranges, and of each piece of text (one,
// two or three characters in a row) a list says which ranges have it: a search goes
// through those, in order, that have all pieces of what was typed.
//
// A range too much in a list costs a look at it; one that is missing would hide a
// device. Who writes a device therefore touches no list, for which writers would
// have to wait for each other, but adds a row to a table of changes in the same
// transaction. IndexTexts (rangefill.go) takes such rows away in the transaction
// that puts the ranges in. Whatever is committed is thus seen by a search
// either among the changes or in the ranges.

const (
	// rangeChanges is up to how many changes a search looks at one by one. With
	// more, the ranges are no help until IndexTexts has come by.
	rangeChanges = 2000
	// rangePieces is up to how many pieces of what was typed are looked for.
	rangePieces = 32
)

// reach is how many ranges a search reads at a time.
type reach struct {
	keys  int // up to so many are looked up by their numbers
	chunk int // so many a statement goes through, and the first one half of it: mostly they fill the page
}

var farReach = reach{keys: 512, chunk: 128}

// keysEnd comes after every name and serial number: none is printed that begins
// with it.
const keysEnd = "\U0010ffff"

// keyRange is a part of an order, of keys and then ids, between two devices of which
// neither is in it. There is no id before "".
type keyRange struct {
	low, high     string
	lowID, highID string
}

func scanRange(r scanner) (n keyRange, err error) {
	err = r.Scan(&n.low, &n.high)
	return n, err
}

// ranges are those that a search goes through.
type ranges struct {
	known bool // else all are
	have  rangeList
	keyed []keyRange // these, in the order of the search, once they were looked up
}

// piecesOf are those of a text, some more than once.
func piecesOf(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		rs := []rune(text)
		for i := range rs {
			for length := 1; length <= trigram && i+length <= len(rs); length++ {
				if !yield(string(rs[i : i+length])) {
					return
				}
			}
		}
	}
}

// sought are the pieces that a text has if it has typed, which is in lower case.
func sought(typed string) []string {
	rs := []rune(typed)
	if len(rs) <= trigram {
		return []string{typed}
	}
	var pieces []string
	for i := trigram; i <= len(rs) && len(pieces) < rangePieces; i++ {
		if p := string(rs[i-trigram : i]); !slices.Contains(pieces, p) {
			pieces = append(pieces, p)
		}
	}
	return pieces
}

// narrow finds the ranges that may have what was typed.
func (s *deviceSearch) narrow() error {
	t, k, typed := s.tx, s.keyed(), strings.ToLower(s.q.Search)
	n, err := t.count(k.on(fmt.Sprintf("SELECT COUNT(*) FROM (SELECT 1 FROM {changes} LIMIT %d) AS n", rangeChanges+1)))
	if err != nil || n > rangeChanges {
		return err
	}
	if s.ranges.have, err = t.rangesWith(k, sought(typed)); err != nil {
		return err
	}
	if n > 0 {
		changed, err := all(t, func(r scanner) (n int32, err error) { err = r.Scan(&n); return n, err },
			k.on(`SELECT (SELECT r.range FROM {ranges} r WHERE r.low <= x.key ORDER BY r.low DESC LIMIT 1) FROM {changes} c
			CROSS JOIN LATERAL (SELECT {key} AS key FROM {texts} d WHERE d.id = c.device AND d.search LIKE $1 OFFSET 0) x`), like(typed))
		if err != nil {
			return err
		}
		for _, n := range changed {
			s.ranges.have = s.ranges.have.add(n)
		}
	}
	s.ranges.known = true
	return nil
}

// rangesWith are those that have all pieces.
func (t *tx) rangesWith(k keyed, pieces []string) (have rangeList, err error) {
	found, err := all(t, scanRanges, k.on("SELECT ranges FROM {pieces} WHERE piece = ANY ($1) ORDER BY length(ranges)"), pieces)
	if err != nil || len(found) < len(pieces) {
		return nil, err
	}
	have = found[0]
	for _, l := range found[1:] {
		have = have.and(l)
	}
	return have, nil
}

func scanRanges(r scanner) (rangeList, error) {
	var b []byte
	if err := r.Scan(&b); err != nil {
		return nil, err
	}
	return decodeRanges(b)
}

// fewPostgres says whether PostgreSQL's index of texts finds few, or at least so
// many only that they are sooner sorted than met by going through the ranges.
func (s *deviceSearch) fewPostgres() (bool, error) {
	var err error
	// The texts know of names and accounts alone.
	s.find, err = s.tx.find(devicesSearched, s.q.Search, s.named && s.unfiltered())
	if err != nil || s.find.named || s.q.Sort == fleet.SortSince {
		return s.find.named, err
	}
	if !s.named {
		return false, s.narrow()
	}
	short := utf8.RuneCountInString(s.q.Search) <= trigram
	if s.find.counted && !short {
		return true, nil
	}
	if err := s.narrow(); err != nil {
		return false, err
	}
	expected := s.find.expected
	if short { // each of the ranges has it, whatever PostgreSQL expects
		expected = max(expected, float64(len(s.ranges.have)))
	}
	if expected <= searchFew {
		return s.find.sorted, nil
	}
	s.find.counted = false
	// Each device that is passed costs some 1.5 µs, one that is sorted 2.
	passed := min(1, float64(s.limit())/expected) * float64(len(s.ranges.have)*roomyRanges.devices)
	return s.find.sorted && !(s.ranges.known && passed*3 < expected*4), nil
}

// ranged goes through the devices of the ranges, in their order, until there are
// enough.
func (s *deviceSearch) ranged(limit int) (hits []hit, err error) {
	n := s.most.chunk / 2
	for left := s.start(); ; n = s.most.chunk {
		in, err := s.nextRanges(left, n)
		if err != nil || len(in) == 0 {
			return hits, err
		}
		more := len(in) == n
		if last := in[len(in)-1]; s.q.Desc {
			left.high, left.highID = last.low, last.lowID
		} else {
			left.low, left.lowID = last.high, last.highID
		}
		query, args, err := s.ranging(joined(in), limit-len(hits))
		if err != nil {
			return nil, err
		}
		found, err := all(s.tx, scanHit, query, args...)
		if hits = append(hits, found...); err != nil || len(hits) >= limit || !more {
			return hits, err
		}
	}
}

// start is what is left of the order after the page before.
func (s *deviceSearch) start() keyRange {
	all := keyRange{high: keysEnd}
	if at, begun := s.at.value.(string); begun && s.at.last != "" && s.at.part == others {
		if s.q.Desc {
			all.high, all.highID = at, s.at.last
		} else {
			all.low, all.lowID = at, s.at.last
		}
	}
	return all
}

// nextRanges are the first n of a search that are in what is left.
func (s *deviceSearch) nextRanges(left keyRange, n int) (in []keyRange, err error) {
	if len(s.ranges.have) <= s.most.keys {
		in, err = s.rangesByKey(left, n)
	} else {
		in, err = s.rangesInOrder(left, n)
	}
	if err != nil || len(in) == 0 {
		return nil, err
	}
	first := &in[0]
	if s.q.Desc && first.high >= left.high {
		first.high, first.highID = left.high, left.highID
	} else if !s.q.Desc && first.low <= left.low {
		first.low, first.lowID = left.low, left.lowID
	}
	return in, nil
}

// rangesByKey looks up each one, once for all that a search reads.
func (s *deviceSearch) rangesByKey(left keyRange, n int) ([]keyRange, error) {
	if s.ranges.keyed == nil {
		in, err := all(s.tx, scanRange, s.keyed().on("SELECT r.low, r.high FROM unnest($1::integer[]) k(range) JOIN {ranges} r ON r.range = k.range"), s.ranges.have)
		if err != nil {
			return nil, err
		}
		slices.SortFunc(in, func(a, b keyRange) int {
			if s.q.Desc {
				a, b = b, a
			}
			return strings.Compare(a.low, b.low)
		})
		s.ranges.keyed = in
	}
	s.ranges.keyed = slices.DeleteFunc(s.ranges.keyed, func(r keyRange) bool { return !left.meets(r) })
	return slices.Clone(s.ranges.keyed[:min(len(s.ranges.keyed), n)]), nil
}

// rangesInOrder goes through all.
func (s *deviceSearch) rangesInOrder(left keyRange, n int) ([]keyRange, error) {
	var w where
	b := s.ranges.have.bits()
	w.and("CASE WHEN range < ? THEN get_bit(CAST(? AS bytea), range) ELSE 0 END = 1", len(b)*8, b)
	w.and("high > ? AND (low < ? OR low = ? AND ? <> '')", left.low, left.high, left.high, left.highID)
	return all(s.tx, scanRange, fmt.Sprintf(s.keyed().on("SELECT low, high FROM {ranges}%s ORDER BY low%s LIMIT %d"), w.String(), s.direction(), n), w.args...)
}

// meets says whether a range is in what is left, or a part of it.
func (n keyRange) meets(r keyRange) bool {
	return r.high > n.low && (r.low < n.high || r.low == n.high && n.highID != "")
}

func (s *deviceSearch) direction() string {
	if s.q.Desc {
		return " DESC"
	}
	return ""
}

// joined makes one of ranges that follow each other, up or down.
func joined(in []keyRange) (out []keyRange) {
	for _, r := range in {
		last := len(out) - 1
		switch {
		case last >= 0 && out[last].high == r.low && r.lowID == "":
			out[last].high, out[last].highID = r.high, r.highID
		case last >= 0 && out[last].low == r.high && r.highID == "":
			out[last].low, out[last].lowID = r.low, r.lowID
		default:
			out = append(out, r)
		}
	}
	return out
}

func (s *deviceSearch) ranging(in []keyRange, limit int) (query string, args []any, err error) {
	w, err := s.of(others)
	if err != nil {
		return "", nil, err
	}
	// Pairs compared as such are not looked up on the index.
	k := s.keyed()
	w.and(k.on("{key} >= r.low AND ({key} > r.low OR d.id > r.low_id)"))
	w.and(k.on("{key} <= r.high AND ({key} < r.high OR d.id < r.high_id)"))
	var bounds [4][]string
	for _, r := range in {
		for i, b := range []string{r.low, r.lowID, r.high, r.highID} {
			bounds[i] = append(bounds[i], b)
		}
	}
	from := "devices d"
	if s.unfiltered() {
		from = k.texts + " d" // that of names knows of these and accounts alone, and is narrow
	}
	args = slices.Concat(w.args, []any{bounds[0], bounds[1], bounds[2], bounds[3]})
	return fmt.Sprintf(`SELECT x.id, %[1]d, 0 FROM unnest($%[2]d::text[], $%[3]d::text[], $%[4]d::text[], $%[5]d::text[]) WITH ORDINALITY r(low, low_id, high, high_id, n)
		CROSS JOIN LATERAL (SELECT d.id, %[11]s AS key FROM %[6]s%[7]s%[8]s) x
		ORDER BY r.n, x.key%[9]s, x.id%[9]s LIMIT %[10]d`,
		others, len(args)-3, len(args)-2, len(args)-1, len(args), from, w.String(), ordered(k.key, s.q, limit), s.direction(), limit, k.key), args, nil
}

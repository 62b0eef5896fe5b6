package store

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

// many says whether so many devices have what else is asked for, and SQLite's
// index of searches does not know of, that those whose text matches are soon met
// with it.
func (s *deviceSearch) many() (bool, error) {
	if s.q.Status == "" && len(s.q.Seen.Groups) <= groupWords {
		return true, nil
	}
	w, err := s.tx.selected(s.account, s.q, byConditions)
	if err != nil {
		return false, err
	}
	n, err := s.tx.count(fmt.Sprintf("SELECT COUNT(*) FROM (SELECT 1 FROM devices d%s LIMIT %d) AS n", w.String(), s.walk+1), w.args...)
	return n > s.walk, err
}

// unfiltered says whether all devices of the accounts are asked for.
func (s *deviceSearch) unfiltered() bool {
	return s.q.Status == "" && s.q.Group == "" && s.q.Seen.Except && len(s.q.Seen.Groups) == 0
}

// keyed is the order of the index of searches that is read, if not since when a
// device is as it is, which changes too often for an index of its own.
func (s *deviceSearch) keyed() keyed {
	if s.q.Sort == fleet.SortSerial {
		return bySerial
	}
	return byName
}

// ask makes what SQLite's index of searches is asked for: the words of the pieces
// of what was typed, of the accounts that are listed if they have a small part of
// all devices, since a word that most have costs a look at each one, and of groups.
func (s *deviceSearch) ask() error {
	if s.words != "" { // asked already
		return nil
	}
	one, kind, share := s.account, wordOwn, "a.id = $1"
	if s.q.Sub && s.q.Account != "" {
		one = s.q.Account
	} else if s.q.Sub {
		kind, share = wordAbove, "a.id <> $1 AND a.path LIKE (SELECT o.path || '%' FROM accounts o WHERE o.id = $1)"
	}
	few, err := s.tx.count("SELECT (SELECT COALESCE(SUM(a.used), 0) FROM accounts a WHERE "+share+") * 5 < COALESCE(SUM(used), 0) FROM accounts", one)
	s.words = wordsFor(strings.ToLower(s.q.Search))
	if few > 0 {
		s.words += " " + accountWord(kind, one)
	}
	s.match = s.words + s.grouped()
	return err
}

// groupWords is up to how many groups that somebody sees, or does not, the index is
// asked for.
const groupWords = 30

// grouped is the part of it that says which groups.
func (s *deviceSearch) grouped() (match string) {
	switch s.q.Group {
	case "":
	case fleet.GroupNone:
		match = " AND " + groupWord("")
	default:
		match = " AND " + groupWord(id.Group(s.q.Group))
	}
	seen := s.q.Seen
	if len(seen.Groups) == 0 || len(seen.Groups) > groupWords {
		return match
	}
	words := make([]string, len(seen.Groups))
	for i, g := range seen.Groups {
		words[i] = groupWord(g)
	}
	return match + map[bool]string{true: " NOT (", false: " AND ("}[seen.Except] + strings.Join(words, " OR ") + ")"
}

// streamed reads what matches from SQLite's index of searches, which has it in
// order but for that within a bucket. So the last one is read to its end, and all
// are sorted.
func (s *deviceSearch) streamed(limit int) (hits []hit, err error) {
	if err := s.ask(); err != nil {
		return nil, err
	}
	query, args, err := s.streaming()
	if err != nil || query == "" {
		return nil, err
	}
	rows, err := s.tx.sql.QueryContext(s.tx.ctx, query, args...)
	if err != nil {
		return nil, classified(err)
	}
	defer rows.Close()
	type match struct {
		key string
		id  id.Device
	}
	var found []match
	for last := int64(0); rows.Next(); {
		var d match
		var place int64
		if err := rows.Scan(&d.id, &d.key, &place); err != nil {
			return nil, classified(err)
		}
		if len(found) >= limit && labelOf(place) != last {
			break
		}
		found, last = append(found, d), labelOf(place)
	}
	if err := rows.Err(); err != nil {
		return nil, classified(err)
	}
	slices.SortFunc(found, func(a, b match) int {
		order := cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.id, b.id))
		if s.q.Desc {
			return -order
		}
		return order
	})
	for _, d := range found[:min(len(found), limit)] {
		hits = append(hits, hit{id: d.id, part: others})
	}
	return hits, nil
}

// streaming begins in the bucket of the device after the page before; there is
// none if the query is empty.
func (s *deviceSearch) streaming() (query string, args []any, err error) {
	w, err := s.tx.selected(s.account, s.q, byKey)
	if err != nil {
		return "", nil, err
	}
	k := s.keyed()
	w.and(k.index+" MATCH ?", s.match)
	w.and(s.find.cond, s.find.args...)
	if s.named {
		low, high := s.bounds()
		w.and("NOT (d.sort_name >= ? AND d.sort_name < ?)", low, high)
	}
	direction := "ASC"
	if s.q.Desc {
		direction = "DESC"
	}
	if s.at.last != "" && s.at.part == others {
		n, err := placed{s.tx, k}.neighbours(s.at.value.(string), id.Device(s.at.last))
		next := n.high
		if s.q.Desc {
			next = n.low
		}
		if err != nil || !next.Valid {
			return "", nil, err
		}
		w.and("("+k.key+", d.id) "+after(s.q)+" (?, ?)", s.at.value, s.at.last)
		if first := labelOf(next.Int64) << slotBits; s.q.Desc {
			w.and("s.rowid <= ?", first|(1<<slotBits-1))
		} else {
			w.and("s.rowid >= ?", first)
		}
	}
	return k.on("SELECT d.id, {key}, d.{place} FROM {index} s CROSS JOIN devices d ON d.{place} = s.rowid") + w.String() + " ORDER BY s.rowid " + direction, w.args, nil
}

package store

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"trunkline/internal/id"
)

// many says whether so many devices have what else is asked for that those
// whose text matches are soon met with it: the index of searches does not know
// of it.
func (s *deviceSearch) many() (bool, error) {
	if s.unfiltered() {
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

// ask makes the words for SQLite's index of searches: of the pieces of what was
// typed, and of the accounts that are listed if they have a small part of all
// devices. A word that most have costs a look at each one.
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
	return err
}

// streamed reads what matches from SQLite's index of searches, which has it in
// the order of names but for that within a bucket. So the last one is read to its
// end, and all are sorted.
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
	type named struct {
		name string
		id   id.Device
	}
	var found []named
	for last := int64(0); rows.Next(); {
		var d named
		var place int64
		if err := rows.Scan(&d.id, &d.name, &place); err != nil {
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
	slices.SortFunc(found, func(a, b named) int {
		order := cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.id, b.id))
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
	w.and("devices_search MATCH ?", s.words)
	w.and(s.find.cond, s.find.args...)
	low, high := s.bounds()
	w.and("NOT (d.sort_name >= ? AND d.sort_name < ?)", low, high)
	direction := "ASC"
	if s.q.Desc {
		direction = "DESC"
	}
	if s.at.last != "" && s.at.part == others {
		n, err := one(s.tx, scanNeighbours, selectNeighbours, s.at.value, s.at.last)
		next := n.high
		if s.q.Desc {
			next = n.low
		}
		if err != nil || !next.Valid {
			return "", nil, err
		}
		w.and("(d.sort_name, d.id) "+after(s.q)+" (?, ?)", s.at.value, s.at.last)
		if first := labelOf(next.Int64) << slotBits; s.q.Desc {
			w.and("s.rowid <= ?", first|(1<<slotBits-1))
		} else {
			w.and("s.rowid >= ?", first)
		}
	}
	return "SELECT d.id, d.sort_name, d.place FROM devices_search s CROSS JOIN devices d ON d.place = s.rowid" + w.String() + " ORDER BY s.rowid " + direction, w.args, nil
}

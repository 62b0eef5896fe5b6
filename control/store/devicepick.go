package store

import (
	"fmt"
	"strings"

	"trunkline/internal/id"
)

const (
	// searchPick is up to how many devices with a word a search on SQLite, by last
	// change, sorts at once; with more, the first ones in that order are looked at
	// before.
	searchPick = 3000
	// pickWords is up to how many words the index is asked for one by one for that.
	pickWords = 8
)

// seldom are those words for SQLite's index of searches that few devices have, one
// of them at least a piece of what was typed, or else all of these if few have them
// all; "" if there is none. With others the index takes longer to say who has all.
func (s *deviceSearch) seldom() (string, error) {
	if err := s.ask(); err != nil || s.rare != nil {
		return strings.Join(s.rare, " "), err
	}
	s.rare = []string{}
	var rare, pieces []string
	piece := false // rare has one
	words := strings.Fields(s.words)
	for _, word := range words[max(0, len(words)-pickWords):] { // an account's is the last
		typed := !strings.HasPrefix(word, wordOwn) && !strings.HasPrefix(word, wordAbove)
		if typed {
			pieces = append(pieces, word)
		}
		few, err := s.seldomHas(word)
		if err != nil {
			return "", err
		}
		if few {
			rare, piece = append(rare, word), piece || typed
		}
	}
	if !piece { // an account's devices are sooner gone through
		rare = nil
		if len(pieces) > 1 {
			few, err := s.seldomHas(strings.Join(pieces, " "))
			if err != nil {
				return "", err
			}
			if few {
				rare = pieces
			}
		}
	}
	s.rare = append(s.rare, rare...)
	return strings.Join(s.rare, " "), nil
}

// seldomHas says whether few devices have all of those words.
func (s *deviceSearch) seldomHas(words string) (bool, error) {
	n, err := s.tx.count(fmt.Sprintf("SELECT COUNT(*) FROM (SELECT 1 FROM devices_search WHERE devices_search MATCH $1 LIMIT %d)", s.pick+1), words)
	return n <= s.pick, err
}

// pick is a device that may match, in order.
type pick struct {
	n     int // as which it came
	since int64
	id    id.Device
	has   bool
}

// picked sorts the devices that have the words, and looks at the texts of the first
// ones alone: nearly all have what was typed. Where many have them all, those that
// come first mostly fill the page.
func (s *deviceSearch) picked(limit int) (hits []hit, err error) {
	words, err := s.seldom()
	if err != nil {
		return nil, err
	}
	if words != "" {
		words += s.grouped()
	} else {
		if hits, err = s.seen(limit); err != nil || len(hits) >= limit {
			return hits, err
		}
		words, hits = s.match, nil
	}
	at := s.at
	if at.part != others {
		at.last = ""
	}
	if len(s.rare) > 0 {
		hits, _, err = s.pickSome(words, at, 0, limit)
		return hits, err
	}
	for n := limit; ; n *= 4 {
		found, last, err := s.pickSome(words, at, n, limit-len(hits))
		if hits = append(hits, found...); err != nil || len(hits) >= limit || last.n < n {
			return hits, err
		}
		at.value, at.last = last.since, string(last.id)
	}
}

// pickSome looks at up to n of them after a place, or at all with 0, in order, as far
// as there are enough, and says which was the last, and the how manieth.
func (s *deviceSearch) pickSome(words string, at place, n, enough int) (hits []hit, last pick, err error) {
	query, args, err := s.picking(words, at, n)
	if err != nil {
		return nil, last, err
	}
	rows, err := s.tx.sql.QueryContext(s.tx.ctx, query, args...)
	if err != nil {
		return nil, last, classified(err)
	}
	defer rows.Close()
	for len(hits) < enough && rows.Next() {
		if err := rows.Scan(&last.id, &last.since, flag{&last.has}); err != nil {
			return nil, last, classified(err)
		}
		if last.n++; last.has {
			hits = append(hits, hit{id: last.id, part: others})
		}
	}
	return hits, last, classified(rows.Err())
}

// picking is a statement for n of them after a place, or for all with 0. Their times
// are beside their places; whether one has what else is asked for is looked at when
// its row is read. Rows come in the order of what is materialized. A limit there has
// SQLite keep a tree of so many, which takes longer than to sort some thousand.
func (s *deviceSearch) picking(words string, at place, n int) (query string, args []any, err error) {
	has, err := s.tx.selected(s.account, s.q, byKey)
	if err != nil {
		return "", nil, err
	}
	look := looking(devicesSearched, s.q.Search)
	has.and(look.cond, look.args...)
	w := where{args: has.args}
	w.and("devices_search MATCH ?", words)
	if at.last != "" {
		w.and("(x.since, x.id) "+after(s.q)+" (?, ?)", at.value, at.last)
	}
	most := ""
	if n > 0 {
		most = fmt.Sprintf(" LIMIT %d", n)
	}
	return fmt.Sprintf(`WITH x AS MATERIALIZED (SELECT x.num, x.id, x.since FROM devices_search s CROSS JOIN devices x ON x.place = s.rowid%[2]s ORDER BY +x.since%[3]s, x.id%[3]s%[4]s)
		SELECT x.id, x.since, (SELECT %[1]s FROM devices d WHERE d.num = x.num) FROM x`, strings.Join(has.parts, " AND "), w.String(), s.direction(), most), w.args, nil
}

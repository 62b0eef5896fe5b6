package store

import (
	"fmt"
	"strings"

	"trunkline/internal/id"
)

const (
	// searchPick is up to how many devices with a word a search on SQLite sorts, in
	// another order than that of names, instead of going through that order.
	searchPick = 3000
	// pickWords is up to how many words the index is asked for one by one for that.
	pickWords = 8
)

// seldom are those words for SQLite's index of searches that few devices have, one
// of them at least a piece of what was typed; "" if there is none. With the others
// the index takes as long to say who has all as the order takes to be gone through.
func (s *deviceSearch) seldom() (string, error) {
	if err := s.ask(); err != nil || s.rare != nil {
		return strings.Join(s.rare, " "), err
	}
	s.rare = []string{}
	words, pieces := strings.Fields(s.words), 0
	for _, word := range words[max(0, len(words)-pickWords):] { // an account's is the last
		n, err := s.tx.count(fmt.Sprintf("SELECT COUNT(*) FROM (SELECT 1 FROM devices_search WHERE devices_search MATCH $1 LIMIT %d)", s.pick+1), word)
		if err != nil {
			return "", err
		}
		if n > s.pick {
			continue
		}
		s.rare = append(s.rare, word)
		if !strings.HasPrefix(word, wordOwn) && !strings.HasPrefix(word, wordAbove) {
			pieces++
		}
	}
	if pieces == 0 { // an account's devices are sooner gone through
		s.rare = []string{}
	}
	return strings.Join(s.rare, " "), nil
}

// pick is a device that may match, in order.
type pick struct {
	value any // what it is ordered by
	id    id.Device
	has   bool
}

// picked sorts the devices that have the words, and looks at the texts of the first
// ones alone: nearly all have what was typed.
func (s *deviceSearch) picked(words string, limit int) (hits []hit, err error) {
	at := s.at
	if at.part != others {
		at.last = ""
	}
	for n := limit; ; n *= 4 {
		query, args, err := s.picking(words, at, n)
		if err != nil {
			return nil, err
		}
		found, err := all(s.tx, s.scanPick, query, args...)
		if err != nil {
			return nil, err
		}
		for _, p := range found {
			if p.has {
				hits = append(hits, hit{id: p.id, part: others})
			}
		}
		if len(hits) >= limit || len(found) < n {
			return hits[:min(len(hits), limit)], nil
		}
		end := found[len(found)-1]
		at.value, at.last = end.value, string(end.id)
	}
}

func (s *deviceSearch) scanPick(r scanner) (p pick, err error) {
	value := orders[s.q.Sort].read()
	err = r.Scan(&p.id, value, flag{&p.has})
	p.value = deref(value)
	return p, err
}

// picking is a statement for n of them after a place.
func (s *deviceSearch) picking(words string, at place, n int) (query string, args []any, err error) {
	w, err := s.tx.selected(s.account, s.q, byKey)
	if err != nil {
		return "", nil, err
	}
	w.and("devices_search MATCH ?", words)
	column := orders[s.q.Sort].few
	if at.last != "" {
		w.and("("+column+", d.id) "+after(s.q)+" (?, ?)", at.value, at.last)
	}
	look := looking(searched{alias: "t"}, s.q.Search)
	var has where
	has.args = w.args
	has.and(look.cond, look.args...)
	return fmt.Sprintf(`SELECT d.id, d.value, (SELECT %s FROM devices t WHERE t.id = d.id)
		FROM (SELECT d.id, %s AS value FROM devices_search s CROSS JOIN devices d ON d.place = s.rowid%s%s) d%s`,
		has.parts[0], column, w.String(), ordered(column, s.q, n), ordered("d.value", s.q, n)), has.args, nil
}

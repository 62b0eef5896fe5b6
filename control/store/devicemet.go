package store

import (
	"fmt"

	"trunkline/control/fleet"
)

const (
	// searchLook is how many devices a search goes through, in an order that no index
	// of searches has, before it sorts: mostly they fill a page.
	searchLook = 1500
	// searchSoon is up to how many such a search sorts at once, whatever it would meet.
	searchSoon = 2000
	// searchMany is up to how many such a search sorts then.
	searchMany = 10000
)

// met goes through the devices in another order than that of names, which no
// index of texts follows. If the first ones do not fill the page, what is
// searched for may all be late in that order: then, or at once if it is so little that
// they would not, what PostgreSQL's index of texts finds is sorted, unless it is so much that the rest is
// as soon gone through. What SQLite does is in devicepick.go.
func (s *deviceSearch) met(limit int) (hits []hit, err error) {
	if s.find.expected > s.soon {
		fills, err := s.fills(limit)
		if err != nil {
			return nil, err
		}
		if s.find.expected > fills {
			if hits, err = s.seen(limit); err != nil || len(hits) >= limit {
				return hits, err
			}
		}
	}
	var query string
	var args []any
	if s.find.expected > searchMany {
		query, args, err = s.walking(others, limit)
	} else {
		query, args, err = s.found(limit)
	}
	if err != nil {
		return nil, err
	}
	return all(s.tx, scanHit, query, args...)
}

// fills is how many of all devices have to match, so that the first ones, of these
// spread evenly, fill the page.
func (s *deviceSearch) fills(limit int) (float64, error) {
	n, err := s.tx.rows("devices")
	return n * float64(limit) / float64(s.look), err
}

// seen are those of the first devices in order: of all, or of a group's.
func (s *deviceSearch) seen(limit int) ([]hit, error) {
	query, args, err := s.meeting(limit)
	if err != nil {
		return nil, err
	}
	return all(s.tx, scanHit, query, args...)
}

// meeting is walking that ends after so many devices, whatever they have.
func (s *deviceSearch) meeting(limit int) (query string, args []any, err error) {
	w, err := s.of(others)
	if err != nil {
		return "", nil, err
	}
	column := orders[s.q.Sort].column
	first := where{args: w.args}
	switch { // these are looked up on the index of the order
	case !s.q.Sub:
		first.and("d.account = ?", s.account)
	case s.q.Account != "":
		first.and("d.account = ?", s.q.Account)
	}
	if g, one := s.oneGroup(); one {
		first.and("d.grp = ?", g)
	}
	if s.at.last != "" && s.at.part == others {
		first.and("("+column+", d.id) "+after(s.q)+" (?, ?)", s.at.value, s.at.last)
	}
	from := ""
	if len(first.parts) > 0 {
		from = first.String()
	}
	return fmt.Sprintf("SELECT d.id, %d, 0 FROM (SELECT d.*, %s AS ordered FROM devices d%s%s) d%s%s",
		others, column, from, ordered(column, s.q, s.look), w.String(), ordered("d.ordered", s.q, limit)), first.args, nil
}

// found sorts what the index of texts finds: its own rows, which say since when a
// device is as it is, if nothing else is asked for than they know.
func (s *deviceSearch) found(limit int) (query string, args []any, err error) {
	if err := s.tx.byText(); err != nil {
		return "", nil, err
	}
	w, err := s.tx.selected(s.account, s.q, byKey)
	if err != nil {
		return "", nil, err
	}
	indexed := indexedText(devicesSearched, s.q.Search)
	column := orders[s.q.Sort].few
	if s.at.last != "" && s.at.part == others {
		w.and("("+column+", d.id) "+after(s.q)+" (?, ?)", s.at.value, s.at.last)
	}
	if s.unfiltered() && s.q.Sort == fleet.SortSince {
		w.and(indexed.cond, indexed.args...)
		return fmt.Sprintf("SELECT d.id, %d, 0 FROM device_texts d%s%s", others, w.String(), ordered(column, s.q, limit)), w.args, nil
	}
	texts := where{args: w.args}
	texts.and(indexed.cond, indexed.args...)
	w.args = texts.args
	w.and("d.id = t.id")
	// Joined in another way, all devices would be read.
	return fmt.Sprintf("SELECT d.id, %d, 0 FROM (SELECT d.id FROM device_texts d%s OFFSET 0) t CROSS JOIN LATERAL (SELECT d.id, %s AS ordered FROM devices d%s OFFSET 0) d%s",
		others, texts.String(), column, w.String(), ordered("d.ordered", s.q, limit)), w.args, nil
}

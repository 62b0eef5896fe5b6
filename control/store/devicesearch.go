package store

import (
	"fmt"
	"strconv"
	"strings"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

// A search by name lists the devices first whose name begins with what was
// typed. It is what people look for, and on an index the names that begin
// alike stand together: walking would have to come by all before them.
const (
	begins = iota
	others
)

// place is where a page of a search ended, with what the first one counted.
type place struct {
	value any
	last  string
	part  int // begins or others
	total int
	more  bool
}

func (p place) cursor(value any, last id.Device, part int) string {
	return cursor(value, last, part, p.total, p.more)
}

func readPlace(s string, value any) (p place, err error) {
	if err := readCursor(s, value, &p.last, &p.part, &p.total, &p.more); err != nil {
		return p, err
	}
	if p.part < begins || p.part > others || p.total < 0 || p.total > searchFew {
		return p, fleet.ErrBadCursor
	}
	p.value = deref(value)
	return p, nil
}

// searchDevices finds the ids of a page and then reads those devices: what is
// sorted or walked is narrow.
func (t *tx) searchDevices(account id.Account, q fleet.DeviceQuery) (fleet.Page[fleet.Device], error) {
	s := deviceSearch{tx: t, account: account, q: q, named: q.Sort == "" || q.Sort == fleet.SortName, walk: searchWalk, look: searchLook, soon: searchSoon, pick: searchPick, most: farReach}
	return s.run()
}

func (s *deviceSearch) run() (out fleet.Page[fleet.Device], err error) {
	if err := s.begin(); err != nil {
		return out, err
	}
	few, err := s.few()
	if err != nil {
		return out, err
	}
	return s.read(few)
}

// begin reads where the page before ended.
func (s *deviceSearch) begin() (err error) {
	if s.q.Cursor != "" {
		s.at, err = readPlace(s.q.Cursor, orders[s.q.Sort].read())
	}
	return err
}

// read gives the page, by looking at all that may match or by going through them.
func (s *deviceSearch) read(few bool) (out fleet.Page[fleet.Device], err error) {
	var hits []hit
	if few {
		hits, err = s.sorted()
	} else {
		expected := s.find.expected
		s.find = looking(devicesSearched, s.q.Search)
		s.find.expected = expected
		hits, err = s.walked()
	}
	if err != nil {
		return out, err
	}
	if s.q.Cursor == "" {
		if counted := few && (!s.find.sorted || s.find.counted); counted && len(hits) > 0 && hits[0].total <= searchFew {
			s.at.total = hits[0].total
		} else if s.at.total, s.at.more = len(hits), len(hits) > searchTotal; s.at.more {
			s.at.total = searchTotal
		}
	}
	return s.page(hits)
}

// deviceSearch is a search for devices under way.
type deviceSearch struct {
	tx      *tx
	account id.Account
	q       fleet.DeviceQuery
	named   bool    // in the order of names: those that begin with it come first
	walk    int     // up to how many devices that have what else is asked for are gone through
	look    int     // how many are gone through in an order that no index of searches has, before what matches is sorted
	soon    float64 // up to how many PostgreSQL sorts at once in such an order
	pick    int     // up to how many of a word SQLite sorts at once in such an order
	find    finding
	words   string   // what SQLite's index of searches is asked for, but for groups
	rare    []string // of these, those that few have; nil: not asked for yet
	match   string   // with groups
	ranges  ranges
	most    reach
	at      place
}

// hit is a row of a search: total is how many there are, if they were counted.
type hit struct {
	id    id.Device
	part  int
	total int
}

func scanHit(r scanner) (h hit, err error) {
	err = r.Scan(&h.id, &h.part, &h.total)
	return h, err
}

// few says whether all that may match can be looked at: the account or the
// other conditions select few, or else the index finds few.
func (s *deviceSearch) few() (bool, error) {
	w, err := s.tx.selected(s.account, s.q, byConditions)
	if err != nil {
		return false, err
	}
	s.find = looking(devicesSearched, s.q.Search)
	n, err := s.tx.count(fmt.Sprintf("SELECT COUNT(*) FROM (SELECT 1 FROM devices d%s LIMIT %d) AS n", w.String(), searchAll+1), w.args...)
	if err != nil || n <= searchAll {
		return true, err
	}
	if n, err = s.beginning(); err != nil || n > searchTotal {
		return false, err
	}
	if n == 0 && s.at.part == begins {
		s.at.part, s.at.last = others, ""
	}
	if s.tx.postgres {
		return s.fewPostgres()
	}
	if err := s.ask(); err != nil {
		return false, err
	}
	match, in := s.match, devicesSearched
	if s.q.Sort == fleet.SortSince {
		rare, err := s.seldom()
		if err != nil {
			return false, err
		}
		if rare != "" {
			match = rare + s.grouped()
		}
	} else {
		in.index, in.num = s.keyed().index, s.keyed().place
	}
	s.find, err = s.tx.named(s.find, in, match, searchNamed)
	return s.find.named, err
}

// beginning counts the devices that come first, as far as is counted: where
// they fill what is asked for, the index need not be.
func (s *deviceSearch) beginning() (int, error) {
	if !s.named || s.at.part != begins {
		return 0, nil
	}
	w, err := s.tx.selected(s.account, s.q, byOrder)
	if err != nil {
		return 0, err
	}
	low, high := s.bounds()
	w.and("d.sort_name >= ? AND d.sort_name < ?", low, high)
	return s.tx.count(fmt.Sprintf("SELECT COUNT(*) FROM (SELECT 1 FROM devices d%s ORDER BY d.sort_name LIMIT %d) AS n", w.String(), searchTotal+1), w.args...)
}

// sorted looks at all that may match.
func (s *deviceSearch) sorted() ([]hit, error) {
	query, args, err := s.sorting()
	if err != nil {
		return nil, err
	}
	return all(s.tx, scanHit, query, args...)
}

func (s *deviceSearch) sorting() (query string, args []any, err error) {
	how := byConditions
	if s.find.named || s.find.sorted {
		how = byKey
	}
	w, err := s.tx.selected(s.account, s.q, how)
	if err != nil {
		return "", nil, err
	}
	from, total := "devices d", "COUNT(*) OVER ()"
	switch {
	case s.find.sorted:
		from = "device_texts d"
		if !s.find.counted {
			total = "0"
		}
	case s.tx.postgres && how == byConditions:
		// They are at most so many. Without a limit it would read all devices.
		from, w.parts = fmt.Sprintf("(SELECT * FROM devices d%s LIMIT %d) d", w.String(), searchAll+1), nil
	}
	w.and(s.find.cond, s.find.args...)
	part := strconv.Itoa(others)
	if s.named {
		low, high := s.bounds()
		w.args = append(w.args, low, high)
		n := len(w.args)
		part = fmt.Sprintf("CASE WHEN d.sort_name >= $%d AND d.sort_name < $%d THEN %d ELSE %d END", n-1, n, begins, others)
	}
	column := orders[s.q.Sort].few
	if s.at.last != "" {
		w.and("("+part+" > ? OR "+part+" = ? AND ("+column+", d.id) "+after(s.q)+" (?, ?))", s.at.part, s.at.part, s.at.value, s.at.last)
	}
	order := strings.Replace(ordered(column, s.q, s.limit()), "ORDER BY", "ORDER BY part,", 1)
	return "SELECT d.id, " + part + " AS part, " + total + " FROM " + from + w.String() + order, w.args, nil
}

// limit is how many hits are wanted: a page and one more, or as far as the
// first page counts.
func (s *deviceSearch) limit() int {
	if s.at.last == "" {
		return max(s.q.Limit, searchTotal) + 1
	}
	return s.q.Limit + 1
}

// walked goes through the devices in their order until there are enough.
func (s *deviceSearch) walked() (hits []hit, err error) {
	if err := s.tx.inOrder(); err != nil {
		return nil, err
	}
	for part := s.at.part; part <= others; part++ {
		if part == begins && !s.named {
			continue
		}
		more, err := s.gone(part, s.limit()-len(hits))
		if hits = append(hits, more...); err != nil || len(hits) >= s.limit() {
			return hits, err
		}
	}
	return hits, nil
}

// gone are up to limit hits of a part.
func (s *deviceSearch) gone(part, limit int) ([]hit, error) {
	switch {
	case part == begins:
	case !s.tx.postgres:
		many, err := s.many()
		switch {
		case err != nil:
			return nil, err
		case many && s.q.Sort == fleet.SortSince:
			return s.picked(limit)
		case many:
			return s.streamed(limit)
		case !s.named:
			return s.sorted() // those of the conditions
		}
	case s.ranges.known:
		if _, one := s.oneGroup(); one && len(s.ranges.have)*roomyRanges.devices > s.look {
			if hits, err := s.seen(limit); err != nil || len(hits) >= limit {
				return hits, err
			}
		}
		return s.ranged(limit)
	case !s.named:
		return s.met(limit)
	}
	query, args, err := s.walking(part, limit)
	if err != nil {
		return nil, err
	}
	return all(s.tx, scanHit, query, args...)
}

// oneGroup is the group whose devices alone are asked for, if there is one:
// PostgreSQL has these in the orders of names and of serial numbers.
func (s *deviceSearch) oneGroup() (g string, one bool) {
	switch {
	case s.q.Sort == fleet.SortSince || s.q.Sub && s.q.Account == "":
		return "", false
	case s.q.Group == fleet.GroupNone:
		return "", true
	case s.q.Group != "":
		return s.q.Group, true
	case !s.q.Seen.Except && len(s.q.Seen.Groups) == 1:
		return string(s.q.Seen.Groups[0]), true
	}
	return "", false
}

func (s *deviceSearch) walking(part, limit int) (query string, args []any, err error) {
	w, err := s.of(part)
	if err != nil {
		return "", nil, err
	}
	if s.at.last != "" && s.at.part == part {
		w.and("("+orders[s.q.Sort].column+", d.id) "+after(s.q)+" (?, ?)", s.at.value, s.at.last)
	}
	return fmt.Sprintf("SELECT d.id, %d, 0 FROM devices d", part) + w.String() + ordered(orders[s.q.Sort].column, s.q, limit), w.args, nil
}

// of are the conditions on devices of a part.
func (s *deviceSearch) of(part int) (w where, err error) {
	if w, err = s.tx.selected(s.account, s.q, byOrder); err != nil {
		return w, err
	}
	w.and(s.find.cond, s.find.args...)
	if s.named {
		low, high := s.bounds()
		if part == begins {
			w.and("d.sort_name >= ? AND d.sort_name < ?", low, high)
		} else {
			w.and("NOT (d.sort_name >= ? AND d.sort_name < ?)", low, high)
		}
	}
	return w, nil
}

// bounds are between which names begin with what was typed. Nothing that is
// printed comes after the last code point.
func (s *deviceSearch) bounds() (low, high string) {
	low = strings.ToLower(s.q.Search)
	return low, low + keysEnd
}

// page reads the devices of a page.
func (s *deviceSearch) page(hits []hit) (fleet.Page[fleet.Device], error) {
	more := len(hits) > s.q.Limit
	hits = hits[:min(len(hits), s.q.Limit)]
	ids, at := make([]id.Device, len(hits)), make(map[id.Device]int, len(hits))
	for i, h := range hits {
		ids[i], at[h.id] = h.id, i
	}
	found, err := s.tx.DevicesByID(ids)
	if err != nil {
		return fleet.Page[fleet.Device]{}, err
	}
	p := fleet.Page[fleet.Device]{Items: make([]fleet.Device, len(found)), Total: s.at.total, More: s.at.more}
	for _, d := range found {
		p.Items[at[d.ID]] = d
	}
	if more {
		end := p.Items[len(p.Items)-1]
		p.Next = s.at.cursor(orders[s.q.Sort].value(end), end.ID, hits[len(hits)-1].part)
	}
	return p, nil
}

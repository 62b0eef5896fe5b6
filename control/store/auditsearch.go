package store

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"trunkline/control/fleet"
)

// searched reads a page of what many entries have in them, all over the
// installation.
func (l *auditList) searched() (es []fleet.AuditEntry, total int, more bool, err error) {
	found, err := l.hits(l.whole, max(l.q.Limit, searchTotal)+1)
	if err != nil {
		return nil, 0, false, err
	}
	total, more = min(len(found), searchTotal), len(found) > searchTotal
	if l.q.Cursor != "" {
		if found, err = l.hits(l.rest(), l.q.Limit+1); err != nil {
			return nil, 0, false, err
		}
	}
	list, cond := "[%s]", "seq IN (SELECT value FROM json_each($1))"
	if l.postgres {
		list, cond = "{%s}", "seq = ANY (CAST($1 AS bigint[]))"
	}
	keys := fmt.Sprintf(list, strings.Trim(strings.ReplaceAll(fmt.Sprint(found), " ", ","), "[]"))
	es, err = all(l.tx, scanAudit, "SELECT seq, "+auditColumns+" FROM audit WHERE "+cond+fmt.Sprintf(" ORDER BY seq DESC LIMIT %d", l.q.Limit+1), keys)
	return es, total, more, err
}

// hits are the numbers of up to n entries that match, the newest first. However
// late they are among all, an index finds them if it is not soon done without.
func (l *auditList) hits(among entries, n int) (found []int64, err error) {
	switch indexed := utf8.RuneCountInString(l.q.Search) >= trigram; {
	case !indexed:
	case l.postgres:
		if found, whole, err := l.nearby(among, n); err != nil || whole || len(found) == n {
			return found, err
		}
		all, err := l.rows("audit")
		if err != nil {
			return nil, err
		}
		// Evenly spread, enough would have been met by now.
		if l.find.expected <= max(float64(l.sort), all/sortsIn) {
			return l.sorted(among, n)
		}
	default:
		own, err := l.own(l.near + 1)
		if err != nil {
			return nil, err
		}
		if own > l.near {
			if found, whole, err := l.streamed(among, n); err != nil || whole || len(found) == n {
				return found, err
			}
		}
	}
	return l.walked(among, n)
}

// own is how many entries there are up to most, the search aside.
func (l *auditList) own(most int) (int, error) {
	if len(l.filters) > 0 || l.whole.last == math.MaxInt64 {
		return l.counted(most)
	}
	w := l.ofTime(l.mine(where{}, true), "at")
	return l.count(fmt.Sprintf("SELECT COUNT(*) FROM (SELECT 1 FROM %s%s LIMIT %d) AS n", l.by("time"), w.String(), most), w.args...)
}

// sortsIn is how many entries PostgreSQL goes through in the time in which it sorts
// one that its index of texts finds, at most.
const sortsIn = 3

// walked goes through all.
func (l *auditList) walked(among entries, n int) ([]int64, error) {
	if err := l.inOrder(); err != nil {
		return nil, err
	}
	query, args := l.walk("seq", looking(auditSearched, l.q.Search), among, n)
	return l.seqs(query, args...)
}

// nearby looks at the newest, and says whether these are all.
func (l *auditList) nearby(among entries, n int) (found []int64, whole bool, err error) {
	if err := l.inOrder(); err != nil {
		return nil, false, err
	}
	query, args := l.walk("seq", finding{}, among, l.near)
	first, err := one(l.tx, func(r scanner) (first []int64, err error) {
		first = make([]int64, 2)
		err = r.Scan(&first[0], &first[1])
		return first, err
	}, "SELECT COALESCE(MIN(seq), 0), COUNT(*) FROM ("+query+") AS newest", args...)
	if err != nil {
		return nil, false, err
	}
	among.first = max(among.first, first[0])
	found, err = l.walked(among, n)
	return found, int(first[1]) < l.near, err
}

// sorted has PostgreSQL's index of texts find all.
func (l *auditList) sorted(among entries, n int) ([]int64, error) {
	if err := l.byText(); err != nil {
		return nil, err
	}
	f := looking(auditSearched, l.q.Search)
	var w where
	w.and(f.cond, f.args...)
	w = l.asked(l.mine(w, false), false)
	w.and("seq >= ?", among.first)
	w.and("seq <= ?", among.last)
	// An order that is none of an index's.
	return l.seqs(fmt.Sprintf("SELECT seq FROM audit%s ORDER BY seq + 0 DESC LIMIT %d", w.String(), n), w.args...)
}

// streamed reads SQLite's index of texts from the newest entry on, as far as so
// many that have the text, whosever they are, and says whether these are all.
func (l *auditList) streamed(among entries, n int) (found []int64, whole bool, err error) {
	var w where
	w.and("audit_search MATCH ?", `"`+strings.ReplaceAll(strings.ToLower(l.q.Search), `"`, `""`)+`"`)
	w.and("rowid >= ?", among.first)
	w.and("rowid <= ?", among.last)
	newest := fmt.Sprintf("(SELECT rowid AS hit FROM audit_search%s ORDER BY rowid DESC LIMIT %d) AS newest", w.String(), l.near)
	f := looking(auditSearched, l.q.Search)
	theirs := l.asked(l.mine(where{args: w.args}, false), false)
	theirs.and(f.cond, f.args...)
	found, err = l.seqs(fmt.Sprintf("SELECT seq FROM %s CROSS JOIN audit ON seq = hit%s LIMIT %d", newest, theirs.String(), n), theirs.args...)
	if err != nil || len(found) == n {
		return found, false, err
	}
	all, err := l.count("SELECT COUNT(*) FROM "+newest, w.args...)
	return found, all < l.near, err
}

// seqs reads numbers of entries, and has the newest first.
func (l *auditList) seqs(query string, args ...any) ([]int64, error) {
	found, err := all(l.tx, func(r scanner) (seq int64, err error) {
		err = r.Scan(&seq)
		return seq, err
	}, query, args...)
	slices.SortFunc(found, func(a, b int64) int { return cmp.Compare(b, a) })
	return found, err
}

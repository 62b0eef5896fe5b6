package console

import (
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"trunkline/internal/fault"
)

const (
	pageSize  = 50
	maxSearch = 100
	maxCursor = 1024
)

// listQuery is what every list's address may say.
type listQuery struct {
	Search string
	Cursor string
	first  int    // number of the first item, for "Showing 51-100": display only
	prefix string // of what is said of a second list on the page
}

func parseList(r *http.Request) (listQuery, error) { return parseListOf(r, "") }

func parseListOf(r *http.Request, prefix string) (listQuery, error) {
	v := r.URL.Query()
	q := listQuery{Search: search(v.Get("q")), first: 1, prefix: prefix}
	var err error
	if q.Cursor, err = parseCursor(r, prefix+"cursor"); err != nil {
		return q, err
	}
	if n, err := strconv.Atoi(v.Get(prefix + "from")); err == nil && q.Cursor != "" && n > 0 && n < 1<<31 {
		q.first = n
	}
	return q, nil
}

// parseCursor reads where a page of a list begins; "" is at the beginning.
func parseCursor(r *http.Request, name string) (string, error) {
	s := r.URL.Query().Get(name)
	if len(s) > maxCursor || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return "", fault.New(fault.Invalid, "The page's address is damaged. Begin at the first page.").In(name)
	}
	return s, nil
}

// search cuts what was typed to what fleet takes, whole characters only.
func search(s string) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD")))
	for len(s) > maxSearch {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}

// pager is the line below a list.
type pager struct {
	Label           string // "" where there is one pager
	From, To, Total int
	First, Next     string // addresses; "" where there is nothing to go to
	More            bool   // there are more than Total
}

func (p pager) of(more bool) pager {
	p.More = more && p.To <= p.Total
	return p
}

func (q listQuery) pager(path string, keep url.Values, shown, total int, next string) pager {
	p := pager{From: q.first, To: q.first + shown - 1, Total: max(total, q.first+shown-1)}
	if shown == 0 {
		p.Total = 0 // nothing to say how much of it is shown
	}
	if q.Search != "" {
		keep.Set("q", q.Search)
	}
	if q.Cursor != "" {
		p.First = address(path, keep)
	}
	if next != "" {
		keep.Set(q.prefix+"cursor", next)
		keep.Set(q.prefix+"from", strconv.Itoa(p.To+1))
		p.Next = address(path, keep)
	}
	return p
}

// place is where in the list the page is, for another list's pager to keep beside
// what both keep.
func (q listQuery) place(keep url.Values) url.Values {
	v := maps.Clone(keep)
	if q.Cursor != "" {
		v.Set(q.prefix+"cursor", q.Cursor)
		v.Set(q.prefix+"from", strconv.Itoa(q.first))
	}
	return v
}

func address(path string, v url.Values) string {
	if len(v) == 0 {
		return path
	}
	return path + "?" + v.Encode()
}

// searchBox is the search form of a list.
type searchBox struct {
	Action, Label, Placeholder, Value string
	Keep                              []input // hidden: what else the list is narrowed by
}

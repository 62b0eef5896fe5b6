package console

import (
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
	maxCursor = 512
)

// listQuery is what every list's address may say.
type listQuery struct {
	Search string
	Cursor string
	first  int // number of the first item, for "Showing 51-100": display only
}

func parseList(r *http.Request) (listQuery, error) {
	v := r.URL.Query()
	q := listQuery{Search: search(v.Get("q")), first: 1}
	var err error
	if q.Cursor, err = parseCursor(r, "cursor"); err != nil {
		return q, err
	}
	if n, err := strconv.Atoi(v.Get("from")); err == nil && q.Cursor != "" && n > 0 && n < 1<<31 {
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
	if q.Search != "" {
		keep.Set("q", q.Search)
	}
	if q.Cursor != "" {
		p.First = address(path, keep)
	}
	if next != "" {
		keep.Set("cursor", next)
		keep.Set("from", strconv.Itoa(p.To+1))
		p.Next = address(path, keep)
	}
	return p
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

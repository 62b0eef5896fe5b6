package console

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

func (c *console) funcs() template.FuncMap {
	return template.FuncMap{
		"asset":  c.assets.url,
		"ago":    func(t time.Time) string { return ago(c.now(), t) },
		"iso":    func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"utc":    func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
		"plain":  plain,
		"words":  func(s string) string { return plainTo(maxSentence, s) },
		"number": number,
		"bytes":  byteSize,
	}
}

// ago words how long t lies back, coarsely; the exact time stands in the
// element's title. live.js words it the same way.
func ago(now, t time.Time) string {
	d := now.Sub(t)
	switch {
	case d < 10*time.Second: // also a clock slightly ahead of ours
		return "just now"
	case d < time.Minute:
		return plural(int(d/time.Second), "second")
	case d < time.Hour:
		return plural(int(d/time.Minute), "minute")
	case d < 24*time.Hour:
		return plural(int(d/time.Hour), "hour")
	case d < 60*24*time.Hour:
		return plural(int(d/(24*time.Hour)), "day")
	}
	return "on " + t.UTC().Format("2006-01-02")
}

func plural(n int, unit string) string {
	if n == 1 {
		return "1 " + unit + " ago"
	}
	return strconv.Itoa(n) + " " + unit + "s ago"
}

// How much of a text from outside a page shows: of a name, of a sentence.
const (
	maxShown    = 160
	maxSentence = 600
)

// plain makes a text from outside fit to be shown beside others: no control
// characters, none that turn the direction of what follows (Unicode Bidi_C:
// a name could read as another one), no endless ones.
func plain(v any) string { return plainTo(maxShown, v) }

func plainTo(limit int, v any) string {
	s := fmt.Sprint(v)
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > limit {
			b.WriteRune('…')
			break
		}
		if r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			r = '\uFFFD'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// number groups the digits by thousands.
func number(n int) string {
	s := strconv.Itoa(n)
	first := 0
	if n < 0 {
		first = 1
	}
	for i := len(s) - 3; i > first; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func byteSize(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " B"
	}
	f := float64(n)
	for _, u := range []string{"kB", "MB", "GB"} {
		if f /= 1000; f < 999.5 {
			return strconv.FormatFloat(f, 'f', decimals(f), 64) + " " + u
		}
	}
	return number(int(f)/1000) + " TB"
}

func decimals(f float64) int {
	if f < 9.95 {
		return 1
	}
	return 0
}

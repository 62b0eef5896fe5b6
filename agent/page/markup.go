package page

import (
	"html"
	"strings"
	"unicode"
)

// markup is HTML. It is made by the functions below alone, from constants and
// from text that text escapes.
type markup string

// attrs are names and values by turns. One whose name ends with "?" is a bare
// attribute, there if the value is not "".
type attrs []string

func text(s string) markup { return markup(escape(s)) }

// escape makes s fit to be shown: characters that act on what is around them
// instead (control ones, those that turn the direction of a line) show as such.
func escape(s string) string {
	return html.EscapeString(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && !strings.ContainsRune("\t\r\n", r) || unicode.Is(unicode.Bidi_Control, r) {
			return '\uFFFD'
		}
		return r
	}, s))
}

// tag makes an element. Names of tags and attributes are constants of ours.
func tag(name string, a attrs, inner ...markup) markup {
	var b strings.Builder
	b.WriteString("<" + name)
	for i := 0; i+1 < len(a); i += 2 {
		key, value := a[i], a[i+1]
		if bare, ok := strings.CutSuffix(key, "?"); ok {
			if value != "" {
				b.WriteString(" " + bare)
			}
			continue
		}
		b.WriteString(" " + key + `="` + escape(value) + `"`)
	}
	b.WriteString(">")
	for _, m := range inner {
		b.WriteString(string(m))
	}
	if !void(name) {
		b.WriteString("</" + name + ">")
	}
	return markup(b.String())
}

// void elements have no end tag (HTML Standard, section 13.1.2).
func void(name string) bool {
	switch name {
	case "br", "img", "input", "link", "meta":
		return true
	}
	return false
}

func join(m ...markup) markup {
	var b strings.Builder
	for _, x := range m {
		b.WriteString(string(x))
	}
	return markup(b.String())
}

// when is m if ok.
func when(ok bool, m markup) markup {
	if !ok {
		return ""
	}
	return m
}

func flag(ok bool) string {
	if ok {
		return "1"
	}
	return ""
}

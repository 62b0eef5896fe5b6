package login

import (
	"bytes"
	"html"
	"strings"
)

// inputValue is the value of the page's first input of that name. It reads
// tags as browsers do, as far as a sign-in page needs: comments and scripts
// hold none.
func inputValue(page []byte, name string) (string, bool) {
	for len(page) > 0 {
		i := bytes.IndexByte(page, '<')
		if i < 0 {
			return "", false
		}
		page = page[i+1:]
		if bytes.HasPrefix(page, []byte("!--")) {
			page = after(page, "-->")
			continue
		}
		tag, attrs, rest := readTag(page)
		page = rest
		switch tag {
		case "script", "style", "textarea", "title":
			page = afterFold(page, "</"+tag)
		case "input":
			if v, ok := attrs["value"]; ok && attrs["name"] == name {
				return v, true
			}
		}
	}
	return "", false
}

// readTag reads a tag behind its '<', and its attributes if it is an input.
func readTag(b []byte) (tag string, attrs map[string]string, rest []byte) {
	n := 0
	for n < len(b) && isLetter(b[n]) {
		n++
	}
	if n == 0 {
		return "", nil, b
	}
	tag, b = strings.ToLower(string(b[:n])), b[n:]
	if tag == "input" {
		attrs = make(map[string]string)
	}
	for {
		b = bytes.TrimLeft(b, " \t\r\n\f/")
		if len(b) == 0 {
			return tag, attrs, nil
		}
		if b[0] == '>' {
			return tag, attrs, b[1:]
		}
		var key, value string
		key, value, b = readAttr(b)
		if _, twice := attrs[key]; attrs != nil && !twice {
			attrs[key] = html.UnescapeString(value)
		}
	}
}

// readAttr reads one attribute; b does not begin with white space, '/' or '>'.
func readAttr(b []byte) (key, value string, rest []byte) {
	n := bytes.IndexAny(b[1:], " \t\r\n\f/>=") + 1 // an attribute's name may begin with '='
	if n == 0 {
		n = len(b)
	}
	key, b = strings.ToLower(string(b[:n])), bytes.TrimLeft(b[n:], " \t\r\n\f")
	if len(b) == 0 || b[0] != '=' {
		return key, "", b
	}
	b = bytes.TrimLeft(b[1:], " \t\r\n\f")
	if len(b) == 0 {
		return key, "", nil
	}
	if q := b[0]; q == '"' || q == '\'' {
		v, rest, _ := bytes.Cut(b[1:], []byte{q})
		return key, string(v), rest
	}
	n = bytes.IndexAny(b, " \t\r\n\f>")
	if n < 0 {
		n = len(b)
	}
	return key, string(b[:n]), b[n:]
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func after(b []byte, mark string) []byte {
	_, rest, _ := bytes.Cut(b, []byte(mark))
	return rest
}

// afterFold is b behind the first mark, which begins with '<'.
func afterFold(b []byte, mark string) []byte {
	for {
		i := bytes.IndexByte(b, mark[0])
		if i < 0 || len(b)-i < len(mark) {
			return nil
		}
		if b = b[i:]; strings.EqualFold(string(b[:len(mark)]), mark) {
			return b[len(mark):]
		}
		b = b[1:]
	}
}

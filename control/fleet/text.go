package fleet

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"trunkline/internal/fault"
)

const maxText = 100 // characters of a name, a model, a firmware

// normalEmail is how e-mails are kept and compared. It is not a validator:
// whatever has no account is refused by the look-up.
func normalEmail(s string) (string, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	at := strings.IndexByte(s, '@')
	return s, at > 0 && at < len(s)-1 && len(s) <= 254 && printable(s)
}

// newEmail accepts an address for somebody new: the common form of RFC 5321,
// and ASCII alone, in which no letter looks like another one.
func newEmail(s string) (string, error) {
	s = strings.TrimSpace(s)
	local, domain, _ := strings.Cut(s, "@")
	plain := strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"(),:;<>@[\]`, r) && r != '@' }) < 0
	if !plain || local == "" || len(local) > 64 || len(s) > 254 || !hostName(domain) {
		return "", fault.New(fault.Invalid, "The e-mail address must look like name@example.com, in plain letters.").In("email")
	}
	return strings.ToLower(s), nil
}

// hostName accepts labels with dots between them (RFC 1123, section 2.1).
func hostName(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		bad := func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
		}
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || strings.IndexFunc(label, bad) >= 0 {
			return false
		}
	}
	return true
}

// plainText accepts what can be shown on a page and in a log: one line.
func plainText(field, s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" || utf8.RuneCountInString(s) > maxText || !printable(s) {
		return "", fault.New(fault.Invalid, "The %s must be 1 to %d printable characters.", field, maxText).In(field)
	}
	return s, nil
}

const maxSearch = 100 // bytes

// searchable accepts what a person may look for. PostgreSQL takes no NUL and
// no broken UTF-8 in a text.
func searchable(field, s string) error {
	if len(s) > maxSearch || !printable(s) {
		return fault.New(fault.Invalid, "Search for at most %d bytes of printable characters.", maxSearch).In(field)
	}
	return nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

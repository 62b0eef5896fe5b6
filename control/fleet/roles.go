package fleet

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"trunkline/internal/fault"
)

// Reading devices, visits and the subscription is for everyone in the account.

func (r Role) mayActivate() bool { return r == RoleOwner || r == RoleAdmin || r == RoleTechnician }
func (r Role) mayAudit() bool    { return r == RoleOwner || r == RoleAdmin || r == RoleAuditor }

// mayEndOthers is for the visits of other people; one's own may always be ended.
func (r Role) mayEndOthers() bool { return r == RoleOwner || r == RoleAdmin }

const maxText = 100 // characters of a name, a model, a firmware

// normalEmail is how e-mails are kept and compared. It is not a validator:
// whatever has no account is refused by the look-up.
func normalEmail(s string) (string, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	at := strings.IndexByte(s, '@')
	return s, at > 0 && at < len(s)-1 && len(s) <= 254 && printable(s)
}

// plainText accepts what can be shown on a page and in a log: one line.
func plainText(field, s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" || utf8.RuneCountInString(s) > maxText || !printable(s) {
		return "", fault.New(fault.Invalid, "The %s must be 1 to %d printable characters.", field, maxText).In(field)
	}
	return s, nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

package console_test

import (
	"net/url"
	"slices"
	"strings"

	"trunkline/internal/fault"
)

// What people who mean no good type. The first do something to the text that
// they are in, and no field takes them; the others are texts like any.
var (
	actingTexts = []string{"a\r\nSet-Cookie: x=1", "a\x00b", "\x1b[31mred", "a\u202egpj.exe", "\u2066x", "a\u200bb", "a\u2028b", "\xff\xfe", "\xc0\xaf"}
	plainTexts  = []string{
		`<script>alert(1)</script>`, `" onload="x`, `'; DROP TABLE devices; --`, `../../../etc/passwd`, `..%2f..%2f`, `{{7*7}}`, `аdа@acme.example`, `=1+1`, `%00`, `\`,
	}
	noNumbers = []string{"x", "-1", "1.5", "1e3", "0x10", "99999999999999999999", "٣"}
)

// field is one of a form's: what of it is refused.
type field struct {
	name string
	bad  []string // and, but for "", nothing else is said to be
	or   fault.Code
	twin string // is typed the same
	loud bool   // it is in no form as a field of its own: what is wrong with it is said above, or on a page
}

func text(name string, most int, required bool) field {
	f := field{name: name, bad: append(slices.Clone(actingTexts), strings.Repeat("x", most+1), strings.Repeat("é", most+1))}
	if required {
		f.bad = append(f.bad, "", "   ")
	}
	return f
}

// choice takes what its options are, and nothing else.
func choice(name string, more ...string) field {
	return field{name: name, bad: slices.Concat(actingTexts, plainTexts, []string{strings.Repeat("x", 5000)}, more)}
}

func aloud(f field) field { f.loud = true; return f }

func or(code fault.Code, f field) field { f.or = code; return f }

// match is whom a form was made from; a wrong one is somebody else's change.
var match = field{name: "match", bad: slices.Concat(actingTexts, plainTexts, []string{strings.Repeat("x", 5000)}), or: fault.Changed, loud: true}

func secret(name string) field {
	return field{name: name, twin: "again", bad: []string{"", "short", strings.Repeat("x", 1025)}}
}

// submission is a form of the console's: what it takes, and what each field
// does not.
type submission struct {
	good   url.Values
	fields []field
	once   bool // what is good changes what the others need: it is not sent
}

var (
	deviceFields = []field{text("name", 100, true), choice("group", "grp_0000000000000099"), text("comment", 500, false), choice("region", "Upper", strings.Repeat("x", 64)), choice("second_tunnel", "ON")}
	visitFields  = []field{aloud(choice("method", "Account"))}
	emails       = field{name: "email", bad: slices.Concat(actingTexts, plainTexts, []string{"", "x", "@", "a@", "@b.example", "a@b@c.example", "a b@c.example", "a@b.example\nBcc: c@d.example", strings.Repeat("x", 255) + "@a.example"})}
	numbers      = field{name: "connections", bad: slices.Concat(actingTexts, plainTexts, noNumbers, []string{""})}
	devicesOf    = aloud(field{name: "id", bad: slices.Concat(actingTexts, plainTexts, []string{"", strings.Repeat("x", 5000), "dev_1", "DEV_0000000000000001"})})
)

// forms are those of every route that takes one, by its pattern.
func (e estate) forms() map[string]submission {
	device, group := string(e.device), e.form.Get("group")
	right := func(name string) string { return "r:" + group + ":" + name }
	return map[string]submission{
		"POST /sign-in": {good: url.Values{"email": {goodEmail}, "password": {goodSecret}}, once: true, fields: []field{
			{name: "email", bad: []string{"", strings.Repeat("x", 300), "a\x00b@acme.example", "\xff\xfe@acme.example", "ada@acme.example\r\n"[:16] + "\r\nX: y", "' OR 1=1 --", "<script>alert(1)</script>", "аda@acme.example"}, or: fault.WrongLogin, loud: true},
			{name: "password", bad: []string{"", strings.Repeat("x", 1025), "\x00", "' OR 1=1 --"}, or: fault.WrongLogin, loud: true},
		}},
		"POST /invitation/{token}": {good: url.Values{"password": {goodSecret}, "again": {goodSecret}}, once: true, fields: []field{
			secret("password"), {name: "again", bad: []string{"", "another", "\xff"}},
		}},
		"POST /sign-out":    {},
		"POST /devices/add": {good: url.Values{"name": {"New"}, "code_life": {"24h"}}, fields: append(slices.Clone(deviceFields), choice("code_life", "25h", "-1h"))},
		"POST /devices/selected": {good: url.Values{"id": {device}, "do": {"remove"}, "back": {"/"}}, fields: []field{
			devicesOf, aloud(choice("do", "", "exe")),
		}},
		"POST /devices/remove":               {good: url.Values{"id": {"dev_0000000000000099"}, "back": {"/"}}, fields: []field{devicesOf}},
		"POST /devices/{device}/edit":        {good: url.Values{"name": {"Renamed"}}, fields: append(slices.Clone(deviceFields), match)},
		"POST /devices/{device}/code":        {good: url.Values{"code_life": {"1h"}}, fields: []field{aloud(choice("code_life", "25h"))}},
		"POST /devices/{device}/code/revoke": {},
		"POST /devices/{device}/remove":      {},
		"POST /devices/{device}/visit":       {fields: visitFields},
		"POST /visit/{site}":                 {fields: visitFields},
		"POST /groups":                       {good: url.Values{"name": {"Another"}}, fields: []field{text("name", 100, true)}},
		"POST /groups/{group}":               {good: url.Values{"name": {"Renamed"}}, fields: []field{text("name", 100, true), match}},
		"POST /groups/{group}/remove":        {},
		"POST /visits/{visit}/end":           {},
		"POST /visits/of/{user}/end":         {},
		"POST /subscription": {good: url.Values{"licence": {"{}"}}, once: true, fields: []field{
			{name: "licence", bad: slices.Concat(actingTexts, plainTexts, []string{"", "{}", "{}\n{}", strings.Repeat("x", 65<<10)}), or: fault.LicenceInvalid},
		}},
		"POST /tunnels": {good: url.Values{"region": {"eu"}}, fields: []field{choice("region", "Upper"), match}},
		"POST /people/invite": {good: url.Values{"email": {"new@acme.example"}, "name": {"New"}, "role": {"auditor"}}, fields: []field{
			emails, text("name", 100, true), choice("role", "", "root", "Owner"),
		}},
		"POST /roles/{role}": {good: url.Values{"own": {group}, "r:default:See": {"on"}, "r:default:Visit with account": {"on"}, right("See"): {"on"}, right("Manage devices"): {"on"}}, fields: []field{
			or(fault.NotFound, aloud(choice("own", "grp_0000000000000099"))), match,
			// A box is ticked whatever it says, and these make no rights.
			aloud(field{name: "r:default:See", bad: []string{""}}), aloud(field{name: right("See"), bad: []string{""}}), aloud(choice(right("Manage people"), "on")),
		}},
		"POST /people/{user}": {good: url.Values{"name": {"Renamed"}, "role": {"auditor"}}, fields: []field{
			text("name", 100, true), choice("role", "", "root", "Owner"), match,
		}},
		"POST /people/{user}/reinvite": {},
		"POST /people/{user}/remove":   {},
		"POST /resellers/add": {good: url.Values{"name": {"New"}, "connections": {"0"}, "email": {"new@below.example"}, "person": {"New"}}, fields: []field{
			text("name", 100, true), numbers, emails, text("person", 100, true),
		}},
		"POST /resellers/{account}":          {good: url.Values{"name": {"Renamed"}, "connections": {"1"}}, fields: []field{text("name", 100, true), numbers, match}},
		"POST /resellers/{account}/reinvite": {},
		"POST /resellers/{account}/remove":   {},
		"POST /me/password": {good: url.Values{"old": {goodSecret}, "new": {goodSecret}, "again": {goodSecret}}, once: true, fields: []field{
			{name: "old", bad: []string{"", "wrong", "\x00"}, or: fault.TooMany, loud: true}, secret("new"), {name: "again", bad: []string{"", "another"}},
		}},
		"POST /me/tokens": {good: url.Values{"name": {"New"}, "scope": {"devices:read"}, "life": {"168h"}}, fields: []field{
			text("name", 100, true), aloud(choice("scope", "", "everything")), choice("life", "", "169h", "-1h", "1"),
		}},
		"POST /me/tokens/{token}/revoke": {},
	}
}

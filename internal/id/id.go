// Package id names things. Every id is checked where it enters the program,
// by UnmarshalText or by the type's Parse function, and trusted from there on.
//
// Random ids are a prefix and 16 characters of Crockford's base 32 in lower
// case: 80 bits from crypto/rand.
package id

import (
	"crypto/rand"
	"fmt"
	"strings"
)

type (
	Account string // "acc_" + 16 characters
	User    string // "usr_" + 16
	Device  string // "dev_" + 16: one PBX server
	Visit   string // "vis_" + 16: one person's access to one site
	Tunnel  string // "tun_" + 16: one TLS connection of an agent
	Group   string // "grp_" + 16: devices of one account that rights are given on
	Token   string // "tok_" + 16: an API token, by which it is listed and revoked; not its secret

	// Relay is the operator's name of a relay node: a DNS label.
	Relay string
	// Site is the first label of a site's host name, "pbx-" + 8 characters
	// when we make it. Whatever is a DNS label is accepted.
	Site string
	// Serial is a PBX's serial number: 4 to 32 of A-Z, 0-9 and '-', upper case.
	Serial string
)

const (
	alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
	randLen  = 16
)

func NewAccount() Account { return Account("acc_" + random(randLen)) }
func NewUser() User       { return User("usr_" + random(randLen)) }
func NewDevice() Device   { return Device("dev_" + random(randLen)) }
func NewVisit() Visit     { return Visit("vis_" + random(randLen)) }
func NewTunnel() Tunnel   { return Tunnel("tun_" + random(randLen)) }
func NewGroup() Group     { return Group("grp_" + random(randLen)) }
func NewToken() Token     { return Token("tok_" + random(randLen)) }

// NewSite makes a label that is hard to guess by chance but is no secret.
// The store refuses a label that is taken; the caller tries again.
func NewSite() Site { return Site("pbx-" + random(8)) }

// Ref makes the short reference that an "internal error" shows to its caller
// and that the log has too.
func Ref() string { return random(8) }

func (a *Account) UnmarshalText(b []byte) error { return prefixed(a, "acc_", b) }
func (u *User) UnmarshalText(b []byte) error    { return prefixed(u, "usr_", b) }
func (d *Device) UnmarshalText(b []byte) error  { return prefixed(d, "dev_", b) }
func (v *Visit) UnmarshalText(b []byte) error   { return prefixed(v, "vis_", b) }
func (t *Tunnel) UnmarshalText(b []byte) error  { return prefixed(t, "tun_", b) }
func (g *Group) UnmarshalText(b []byte) error   { return prefixed(g, "grp_", b) }
func (t *Token) UnmarshalText(b []byte) error   { return prefixed(t, "tok_", b) }

func (r *Relay) UnmarshalText(b []byte) error {
	if !isLabel(b) {
		return fmt.Errorf("relay name: not a DNS label")
	}
	*r = Relay(b)
	return nil
}

func (s *Site) UnmarshalText(b []byte) error {
	if !isLabel(b) {
		return fmt.Errorf("site: not a DNS label")
	}
	*s = Site(b)
	return nil
}

func (s *Serial) UnmarshalText(b []byte) error {
	if len(b) < 4 || len(b) > 32 {
		return fmt.Errorf("serial number: need 4 to 32 characters")
	}
	up := strings.ToUpper(string(b))
	for i := range len(up) {
		c := up[i]
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("serial number: only letters, digits and '-'")
		}
	}
	*s = Serial(up)
	return nil
}

// prefixed accepts exactly what the New functions make.
func prefixed[T ~string](dst *T, prefix string, b []byte) error {
	rest, ok := strings.CutPrefix(string(b), prefix)
	if !ok || len(rest) != randLen {
		return fmt.Errorf("id: need %q and %d characters", prefix, randLen)
	}
	for i := range len(rest) {
		if strings.IndexByte(alphabet, rest[i]) < 0 {
			return fmt.Errorf("id: character %q", rest[i])
		}
	}
	*dst = T(b)
	return nil
}

// isLabel reports whether b is a lower-case DNS label (RFC 1123, section 2.1).
func isLabel(b []byte) bool {
	if len(b) == 0 || len(b) > 63 || b[0] == '-' || b[len(b)-1] == '-' {
		return false
	}
	for _, c := range b {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

func random(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand, since Go 1.24)
	for i := range b {
		b[i] = alphabet[b[i]&31]
	}
	return string(b)
}

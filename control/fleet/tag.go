package fleet

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"

	"trunkline/internal/fault"
)

// A Tag names the state of what can be edited of a thing. Whoever edits what
// somebody else has changed meanwhile is told so (RFC 9110, section 13.1.1).

func (d Device) Tag() string {
	return tag(d.Name, d.Group, d.Comment, d.Passwordless, d.Code.Hash, d.Region, d.Second)
}

func (u User) Tag() string    { return tag(u.Name, u.Role, u.Disabled, u.Email) }
func (a Account) Tag() string { return tag(a.Name, a.Allotted) }
func (g Group) Tag() string   { return tag(g.Name) }

func (a Access) Tag() string {
	parts := []any{a.Default}
	for _, g := range slices.Sorted(maps.Keys(a.Groups)) {
		parts = append(parts, g, a.Groups[g])
	}
	return tag(parts...)
}

func tag(parts ...any) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%v\x00", p)
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:9])
}

// matches: match is "" or the present tag.
func matches(match, tag string) error {
	if match == "" || match == tag {
		return nil
	}
	return fault.New(fault.Changed, "Somebody has changed this meanwhile. Load it again, and make your change there.")
}

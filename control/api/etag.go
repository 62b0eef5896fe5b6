package api

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
)

// An ETag is <tag>.<hash>: fleet's Tag of what can be edited, and a hash of
// the whole answer. If-None-Match compares all of it. If-Match compares the
// tag, because an edit must not fail for a PBX that has just gone offline.

func etagOf(tag string, body []byte) string {
	if tag == "" {
		return ""
	}
	sum := sha256.Sum256(body)
	return `"` + tag + "." + hex.EncodeToString(sum[:8]) + `"`
}

// precondition is what If-Match asks for: a Tag, or "" for whatever there is.
type precondition string

// neverMatches is the Tag of nothing. A weak ETag does not match strongly
// (RFC 9110, section 13.1.1).
const neverMatches = "-"

func (p *precondition) UnmarshalText(b []byte) error {
	s := strings.TrimSpace(string(b))
	if s == "*" {
		*p = ""
		return nil
	}
	if strings.HasPrefix(s, "W/") {
		*p = neverMatches
		return nil
	}
	inner, opened := strings.CutPrefix(s, `"`)
	inner, closed := strings.CutSuffix(inner, `"`)
	tag, _, _ := strings.Cut(inner, ".")
	if !opened || !closed || tag == "" || len(s) > 128 || strings.ContainsAny(inner, "\"\\ ,") {
		return errors.New("need one ETag, in its quotes, or *")
	}
	*p = precondition(tag)
	return nil
}

// unchanged says whether the client of a GET has etag already.
func unchanged(r *http.Request, etag string) bool {
	if etag == "" || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	for _, line := range r.Header.Values("If-None-Match") {
		for one := range strings.SplitSeq(line, ",") {
			one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
			if one == etag || one == "*" {
				return true
			}
		}
	}
	return false
}

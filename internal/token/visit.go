package token

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// How a visitor is let into the portal.
const (
	MethodAccount      = "account"
	MethodPasswordless = "passwordless"
)

// Visit is one person's access to one site, as control granted it.
type Visit struct {
	ID      id.Visit      `json:"id"`
	Site    id.Site       `json:"site"`
	Device  id.Device     `json:"device,omitempty"` // "" follows the site's active device
	Account id.Account    `json:"account"`
	User    id.User       `json:"user"`
	Who     string        `json:"who"` // the person's name and e-mail, for the PBX's log
	Method  string        `json:"method"`
	Idle    time.Duration `json:"idle"`    // ends after this long without a request
	Started time.Time     `json:"started"` // UTC
	Expires time.Time     `json:"expires"`
	Seen    time.Time     `json:"seen"`            // of the last request when the cookie was sealed
	Trace   string        `json:"trace,omitempty"` // the traceparent of its start; "": it is not traced
}

const (
	maxCookieSize = 2048
	visitAAD      = "trunkline visit 1"
)

// SealVisit makes the cookie's value: kid "." base64url(nonce || box), the box
// being XChaCha20-Poly1305 over the visit in JSON.
func SealVisit(key SealKey, v Visit) (string, error) {
	box, err := chacha20poly1305.NewX(key.Secret)
	if err != nil {
		return "", err
	}
	plain, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	nonce := make([]byte, chacha20poly1305.NonceSizeX, chacha20poly1305.NonceSizeX+len(plain)+chacha20poly1305.Overhead)
	rand.Read(nonce)
	sealed := box.Seal(nonce, nonce, plain, []byte(visitAAD))
	return key.ID + "." + base64.RawURLEncoding.EncodeToString(sealed), nil
}

// OpenVisit is SealVisit's inverse and checks the ends of the visit. Errors
// are faults: visit_needed if the value is not ours, visit_expired or
// visit_idle if its time is over. The visit is returned with these too, to say
// whose it was.
func OpenVisit(raw string, key func(kid string) (SealKey, bool), now time.Time) (Visit, error) {
	v, ok := openBox(raw, key)
	if !ok {
		return Visit{}, fault.New(fault.VisitNeeded, "Open this PBX from the console.")
	}
	switch {
	case now.After(v.Expires):
		return v, fault.Over(fault.VisitExpired)
	case now.After(v.Seen.Add(v.Idle)):
		return v, fault.New(fault.VisitIdle, "The visit ended after %d minutes without activity. Open the PBX from the console again.", int(v.Idle.Minutes()))
	}
	return v, nil
}

func openBox(raw string, key func(string) (SealKey, bool)) (Visit, bool) {
	kid, b64, ok := strings.Cut(raw, ".")
	if !ok || len(raw) > maxCookieSize {
		return Visit{}, false
	}
	k, ok := key(kid)
	if !ok {
		return Visit{}, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(b64)
	if err != nil || len(b) < chacha20poly1305.NonceSizeX {
		return Visit{}, false
	}
	var box cipher.AEAD
	if box, err = chacha20poly1305.NewX(k.Secret); err != nil {
		return Visit{}, false
	}
	plain, err := box.Open(nil, b[:chacha20poly1305.NonceSizeX], b[chacha20poly1305.NonceSizeX:], []byte(visitAAD))
	if err != nil {
		return Visit{}, false
	}
	var v Visit
	if err := json.Unmarshal(plain, &v); err != nil {
		return Visit{}, false
	}
	return v, true
}

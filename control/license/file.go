package license

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	maxFileSize    = 64 << 10
	MaxConnections = 10_000_000 // that a licence can give
	signPrefix     = "trunkline licence 1\n"
)

var (
	ErrMalformed = errors.New("not a licence file: need a line of JSON and a line of base64")
	ErrSignature = errors.New("the licence is not signed by the configured key, or was changed afterwards")
)

// document is the first line's JSON.
type document struct {
	Holder      string    `json:"holder"`
	Plan        string    `json:"plan"`
	Connections int       `json:"connections"`
	NotBefore   time.Time `json:"not_before,omitzero"`
	Expires     time.Time `json:"expires,omitzero"`
	Features    []string  `json:"features,omitempty"`
}

// Issue makes the file for l.
func Issue(priv ed25519.PrivateKey, l License) ([]byte, error) {
	l.NotBefore, l.Expires = seconds(l.NotBefore), seconds(l.Expires)
	if err := l.check(); err != nil {
		return nil, err
	}
	line, err := json.Marshal(document(l))
	if err != nil {
		return nil, fmt.Errorf("encode licence: %w", err)
	}
	sig := ed25519.Sign(priv, append([]byte(signPrefix), line...))
	out := slices.Concat(line, []byte{'\n'})
	out = base64.StdEncoding.AppendEncode(out, sig)
	out = append(out, '\n')
	if len(out) > maxFileSize {
		return nil, fmt.Errorf("licence of %d bytes: at most %d", len(out), maxFileSize)
	}
	return out, nil
}

// Verify reads a file that Issue made with key's private half. On an error
// nothing of the file can be relied on and the License is zero.
func Verify(key ed25519.PublicKey, file []byte) (License, error) {
	if len(key) != ed25519.PublicKeySize {
		return License{}, fmt.Errorf("verifying key of %d bytes: need %d", len(key), ed25519.PublicKeySize)
	}
	line, sig, err := split(file)
	if err != nil {
		return License{}, err
	}
	// The signature first: the JSON of a stranger is not worth parsing.
	if !ed25519.Verify(key, append([]byte(signPrefix), line...), sig) {
		return License{}, ErrSignature
	}
	return parse(line)
}

// Unverified reads what a file says, whoever signed it: to be shown, and for
// nothing else.
func Unverified(file []byte) (License, error) {
	line, _, err := split(file)
	if err != nil {
		return License{}, err
	}
	return parse(line)
}

func parse(line []byte) (License, error) {
	var d document
	if err := json.Unmarshal(line, &d); err != nil {
		return License{}, fmt.Errorf("read licence: %w", err)
	}
	l := License(d)
	l.NotBefore, l.Expires = seconds(l.NotBefore), seconds(l.Expires)
	if len(l.Features) == 0 {
		l.Features = nil
	}
	if err := l.check(); err != nil {
		return License{}, err
	}
	return l, nil
}

// split parts a file into the signed line and the signature.
func split(file []byte) (line, sig []byte, err error) {
	if len(file) > maxFileSize {
		return nil, nil, ErrMalformed
	}
	line, rest, ok := bytes.Cut(file, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	second, after, _ := bytes.Cut(rest, []byte("\n"))
	if !ok || len(line) == 0 || len(bytes.TrimRight(after, "\r\n")) != 0 {
		return nil, nil, ErrMalformed
	}
	second = bytes.TrimSuffix(second, []byte("\r"))
	// Strict, and of one length: base64 ignores line ends inside its input.
	if len(second) != base64.StdEncoding.EncodedLen(ed25519.SignatureSize) {
		return nil, nil, ErrMalformed
	}
	sig, err = base64.StdEncoding.Strict().DecodeString(string(second))
	if err != nil || len(sig) != ed25519.SignatureSize {
		return nil, nil, ErrMalformed
	}
	return line, sig, nil
}

// check holds for what is issued and for what is read.
func (l License) check() error {
	switch {
	case l.Plan == "":
		return errors.New("licence: no plan")
	case l.Connections < 0 || l.Connections > MaxConnections:
		return fmt.Errorf("licence: %d connections: need 0 to %d", l.Connections, MaxConnections)
	case !l.NotBefore.IsZero() && !inCalendar(l.NotBefore), !l.Expires.IsZero() && !inCalendar(l.Expires):
		return errors.New("licence: a year outside of 1 to 9999")
	case !l.Expires.IsZero() && !l.NotBefore.Before(l.Expires):
		return errors.New("licence: expires before it begins")
	}
	return nil
}

// inCalendar is what RFC 3339 can write; an offset can lead out of it.
func inCalendar(t time.Time) bool { return t.Year() >= 1 && t.Year() <= 9999 }

func seconds(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Second)
}

// ParseKey reads a verifying key as it is configured: its 32 bytes in padded
// base64.
func ParseKey(text string) (ed25519.PublicKey, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(text))
	if err != nil || len(b) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("not an Ed25519 public key: need %d bytes in base64", ed25519.PublicKeySize)
	}
	return ed25519.PublicKey(b), nil
}

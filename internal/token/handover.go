package token

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"

	"trunkline/internal/fault"
)

// NewHandover makes a token of 256 random bits and the hash under which it is
// stored; the token itself is kept nowhere.
func NewHandover() (token, hash string) {
	b := make([]byte, 32)
	rand.Read(b)
	token = base64.RawURLEncoding.EncodeToString(b)
	return token, hashOf(b)
}

// HandoverHash is where a presented token is looked up. It errs with
// handover_invalid on whatever NewHandover cannot have made.
func HandoverHash(token string) (string, error) {
	if len(token) == 43 {
		if b, err := base64.RawURLEncoding.Strict().DecodeString(token); err == nil {
			return hashOf(b), nil
		}
	}
	return "", fault.New(fault.HandoverInvalid, "This link is malformed. Go back to the console and click Visit again.")
}

func hashOf(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

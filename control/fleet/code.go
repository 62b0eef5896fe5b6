package fleet

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

const (
	codeAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ" // Crockford's base 32: nothing in it is read for something else
	codeLen      = 16                                 // 80 random bits
	codeGroup    = 4

	codeLife    = 24 * time.Hour
	minCodeLife = time.Hour
	maxCodeLife = 30 * 24 * time.Hour
)

// newCode makes an authentication code as a person types it, such as
// K7QM-4XWZ-9T2P-HD3V, and the hash that is kept of it.
func newCode() (secret, hash string) {
	b := make([]byte, codeLen)
	rand.Read(b) // never fails
	var s strings.Builder
	for i, c := range b {
		if i > 0 && i%codeGroup == 0 {
			s.WriteByte('-')
		}
		s.WriteByte(codeAlphabet[c&31])
	}
	hash, _ = codeHash(s.String())
	return s.String(), hash
}

// codeHash is under what a code is kept, if text can be one at all. Case,
// spaces and hyphens do not matter, and the letters that Crockford left out
// are read as the digits they look like. A fast hash does: the code has 80
// random bits.
func codeHash(text string) (hash string, ok bool) {
	if len(text) > 4*codeLen {
		return "", false
	}
	plain := make([]byte, 0, codeLen)
	for _, c := range []byte(strings.ToUpper(text)) {
		switch c {
		case ' ', '-', '\t', '\r', '\n':
			continue
		case 'O':
			c = '0'
		case 'I', 'L':
			c = '1'
		}
		if strings.IndexByte(codeAlphabet, c) < 0 || len(plain) == codeLen {
			return "", false
		}
		plain = append(plain, c)
	}
	if len(plain) != codeLen {
		return "", false
	}
	sum := sha256.Sum256(plain)
	return hex.EncodeToString(sum[:]), true
}

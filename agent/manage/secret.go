package manage

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Costs of argon2id: OWASP's first recommendation for it (Password Storage
// Cheat Sheet). A PBX has the memory for one at a time; see Hasher.
const (
	hashTime   = 2
	hashMemory = 19 << 10 // KiB
	hashLanes  = 1
	hashSize   = 32
	saltSize   = 16
)

// hashPrefix is the form of RFC 9106's reference implementation, with our
// costs: whatever else stands there is no hash of ours.
var hashPrefix = fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$", argon2.Version, hashMemory, hashTime, hashLanes)

var encoding = base64.RawStdEncoding

// Hash is a password's argon2id hash with a salt of its own.
func Hash(password string) string {
	salt := make([]byte, saltSize)
	rand.Read(salt)
	return hashPrefix + encoding.EncodeToString(salt) + "$" + encoding.EncodeToString(derive(password, salt))
}

// Matches tells whether hash is password's. It takes the same time for every
// password, and for a hash that is none.
func Matches(hash, password string) bool {
	salt, want, ok := parseHash(hash)
	if !ok {
		salt, want = make([]byte, saltSize), make([]byte, hashSize)
	}
	return subtle.ConstantTimeCompare(derive(password, salt), want) == 1 && ok
}

// ValidHash tells whether hash has Hash's form.
func ValidHash(hash string) bool {
	_, _, ok := parseHash(hash)
	return ok
}

func derive(password string, salt []byte) []byte {
	return argon2.IDKey([]byte(password), salt, hashTime, hashMemory, hashLanes, hashSize)
}

func parseHash(hash string) (salt, sum []byte, ok bool) {
	rest, found := strings.CutPrefix(hash, hashPrefix)
	a, b, cut := strings.Cut(rest, "$")
	salt, err1 := encoding.DecodeString(a)
	sum, err2 := encoding.DecodeString(b)
	return salt, sum, found && cut && err1 == nil && err2 == nil && len(salt) == saltSize && len(sum) == hashSize
}

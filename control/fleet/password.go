package fleet

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"

	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
)

// Argon2id at the weakest setting OWASP's Password Storage Cheat Sheet still
// recommends for it: 19 MiB, so that a small machine can check several at once.
const (
	argonMemory  = 19456 // KiB
	argonTime    = 2
	argonThreads = 1
	argonKeyLen  = 32
	argonSaltLen = 16
)

// Bounds of a password. Forms and the API know them too.
const (
	MinPassword = 8 // characters
	MaxPassword = controlapi.MaxPassword
)

// hasher checks passwords, a bounded number at a time: each takes 19 MiB and
// some 20 ms of a CPU, and strangers can ask for as many as they like.
type hasher struct {
	turns chan struct{}
	queue chan struct{} // who waits for a turn or has one
	dummy string        // what a password for nobody is compared with: a hash of none
}

// maxHashQueue waiting takes a few seconds; who comes then is sent away.
const maxHashQueue = 128

func newHasher() *hasher {
	return &hasher{
		turns: make(chan struct{}, runtime.GOMAXPROCS(0)),
		queue: make(chan struct{}, maxHashQueue),
		dummy: phc(argonMemory, argonTime, random(argonSaltLen), random(argonKeyLen)),
	}
}

// check reports whether password belongs to stored. With "" for that it takes as
// long and says no, so that the time does not tell which e-mails exist.
func (h *hasher) check(ctx context.Context, stored, password string) (bool, error) {
	done, err := h.turn(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	known := stored != ""
	if !known {
		stored = h.dummy
	}
	ok, err := passwordMatches(stored, password)
	return ok && known, err
}

// hash makes what check compares with.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	done, err := h.turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	return hashPassword(password), nil
}

// turn waits for one of the turns; done gives it back.
func (h *hasher) turn(ctx context.Context) (done func(), err error) {
	select {
	case h.queue <- struct{}{}:
	default:
		return nil, fault.New(fault.Unavailable, "Too many sign-ins at this moment. Try again shortly.").After(5 * time.Second)
	}
	select {
	case h.turns <- struct{}{}:
		return func() { <-h.turns; <-h.queue }, nil
	case <-ctx.Done():
		<-h.queue
		return nil, ctx.Err()
	}
}

// hashPassword makes a PHC string: $argon2id$v=19$m=...,t=...,p=...$salt$hash.
func hashPassword(password string) string {
	return hashAt(argonMemory, argonTime, password)
}

func hashAt(memory, rounds uint32, password string) string {
	salt := random(argonSaltLen)
	return phc(memory, rounds, salt, argon2.IDKey([]byte(password), salt, rounds, memory, argonThreads, argonKeyLen))
}

func phc(memory, rounds uint32, salt, key []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memory, rounds, argonThreads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

// passwordMatches errs if stored is not what hashPassword, of this or of another
// version with other costs, can have made.
func passwordMatches(stored, password string) (bool, error) {
	p := strings.Split(stored, "$")
	if len(p) != 6 || p[0] != "" || p[1] != "argon2id" {
		return false, fmt.Errorf("read password hash: not argon2id in PHC form")
	}
	var version int
	var memory, rounds uint32
	var threads uint8
	if _, err := fmt.Sscanf(p[2]+" "+p[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &rounds, &threads); err != nil {
		return false, fmt.Errorf("read password hash: %w", err)
	}
	// The bounds keep a damaged row from taking the machine down.
	if version != argon2.Version || memory == 0 || memory > 1<<20 || rounds == 0 || rounds > 64 || threads == 0 {
		return false, fmt.Errorf("read password hash: parameters out of bounds")
	}
	salt, err := base64.RawStdEncoding.Strict().DecodeString(p[4])
	if err != nil {
		return false, fmt.Errorf("read password hash's salt: %w", err)
	}
	want, err := base64.RawStdEncoding.Strict().DecodeString(p[5])
	if err != nil || len(want) < 16 || len(want) > 64 {
		return false, fmt.Errorf("read password hash: malformed")
	}
	got := argon2.IDKey([]byte(password), salt, rounds, memory, threads, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

package fleet

import (
	"context"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"trunkline/internal/fault"
)

const (
	// A claim without an answer is void after this: whoever served it is gone.
	// It is longer than any call may take.
	claimLife = time.Minute
	// AnswersKept is how long an answer can be had again.
	AnswersKept = 24 * time.Hour

	answersSwept = 1000 // at once
)

// KeptAnswer is the answer to a request that carried a key, as the database
// has it.
type KeptAnswer struct {
	Request  string    // hash of what was asked, hex
	Answered bool      // else somebody serves it
	Sealed   []byte    // the answer
	At       time.Time // of the claim
}

// Claim is the right to serve a request that may have been sent before.
type Claim struct {
	row, request string
	at           time.Time
	seal         cipher.AEAD
}

// ClaimRequest lets the first of the requests through that carry p's key. The
// others get the first one's answer; they err with fault.InProgress if it is
// not there yet, and with fault.KeyReused if they ask for something else.
// request says what is asked.
//
// Answers hold secrets, such as codes. They are sealed with the key, of which
// only a hash is kept: who reads the database and has no key reads no answer.
func (f *Fleet) ClaimRequest(ctx context.Context, p Principal, key string, request []byte) (*Claim, []byte, error) {
	if err := p.check(); err != nil {
		return nil, nil, err
	}
	c, err := newClaim(p, key, request, f.clock().Truncate(time.Microsecond))
	if err != nil {
		return nil, nil, err
	}
	var kept KeptAnswer
	err = f.tx(ctx, "claim request", func(tx Tx) error {
		var err error
		if kept, err = tx.KeptAnswer(c.row); errors.Is(err, ErrNoRow) || err == nil && kept.void(c.at) {
			kept = KeptAnswer{}
			return tx.ClaimAnswer(c.row, c.request, c.at)
		}
		return err
	})
	switch {
	case err != nil:
		return nil, nil, err
	case kept.Request == "":
		return c, nil, nil
	case kept.Request != c.request:
		return nil, nil, fault.New(fault.KeyReused, "This key came with another request before. Send a new key.").In("Idempotency-Key")
	case !kept.Answered:
		return nil, nil, fault.New(fault.InProgress, "The same request is being served. Ask again for its answer.").In("Idempotency-Key").After(time.Second)
	}
	answer, err := c.open(kept.Sealed)
	return nil, answer, err
}

func (k KeptAnswer) void(now time.Time) bool {
	life := claimLife
	if k.Answered {
		life = AnswersKept
	}
	return now.Sub(k.At) >= life
}

// KeepAnswer ends a claim with what is to be answered from now on. If the
// claim has become another's meanwhile, that one's answer stands.
func (f *Fleet) KeepAnswer(ctx context.Context, c *Claim, answer []byte) error {
	nonce := make([]byte, c.seal.NonceSize())
	rand.Read(nonce)
	sealed := c.seal.Seal(nonce, nonce, answer, []byte(c.request))
	return f.tx(ctx, "keep answer", func(tx Tx) error { return tx.KeepAnswer(c.row, c.at, sealed) })
}

// DropClaim ends a claim as if it had never been.
func (f *Fleet) DropClaim(ctx context.Context, c *Claim) error {
	return f.tx(ctx, "drop claim", func(tx Tx) error { return tx.DropClaim(c.row, c.at) })
}

func newClaim(p Principal, key string, request []byte, now time.Time) (*Claim, error) {
	// The ids have no NUL in them.
	row := sha256.Sum256([]byte(string(p.User) + "\x00" + string(p.Token) + "\x00" + key))
	asked := sha256.Sum256(request)
	secret, err := hkdf.Key(sha256.New, []byte(key), row[:], "trunkline idempotency 1", chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	seal, err := chacha20poly1305.NewX(secret)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	return &Claim{row: hex.EncodeToString(row[:]), request: hex.EncodeToString(asked[:]), at: now, seal: seal}, nil
}

func (c *Claim) open(sealed []byte) ([]byte, error) {
	n := c.seal.NonceSize()
	if len(sealed) < n {
		return nil, errors.New("open kept answer: too short")
	}
	b, err := c.seal.Open(nil, sealed[:n], sealed[n:], []byte(c.request))
	if err != nil {
		return nil, fmt.Errorf("open kept answer: %w", err)
	}
	return b, nil
}

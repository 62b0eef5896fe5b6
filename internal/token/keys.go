package token

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"time"

	"trunkline/internal/id"
)

// Lifetimes. A key signs for its Active time and is kept for verification
// until the last token it signed has expired.
const (
	PassLife    = 24 * time.Hour
	VisitLife   = 8 * time.Hour // absolute end of a visit
	HandoverTTL = 60 * time.Second
	Leeway      = 2 * time.Minute // between the clocks of our own nodes
	// Astray is how far the clock of one of them may be off, after a step or with
	// the wrong time zone, without keeping out who has a right to come in.
	Astray = 2 * time.Hour

	PassKeyActive = 7 * 24 * time.Hour
	SealKeyActive = 24 * time.Hour
)

// SigningKey signs passes. It never leaves control.
type SigningKey struct {
	ID        string
	Private   ed25519.PrivateKey
	NotBefore time.Time
	NotAfter  time.Time // of its verification
}

// PassKey verifies passes: bucket keys, key pass.<id>.
type PassKey struct {
	ID        string            `json:"id"`
	Public    ed25519.PublicKey `json:"public"`
	NotBefore time.Time         `json:"not_before"`
	NotAfter  time.Time         `json:"not_after"`
}

// SealKey seals and opens visit cookies: bucket keys, key visit.<id>.
type SealKey struct {
	ID        string    `json:"id"`
	Secret    []byte    `json:"secret"` // 32 bytes
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
}

func NewSigningKey(now time.Time) SigningKey {
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic("BUG: crypto/rand failed: " + err.Error())
	}
	return SigningKey{ID: id.Ref(), Private: priv, NotBefore: now, NotAfter: now.Add(PassKeyActive + PassLife + Leeway)}
}

func (k SigningKey) Verifier() PassKey {
	return PassKey{ID: k.ID, Public: k.Private.Public().(ed25519.PublicKey), NotBefore: k.NotBefore, NotAfter: k.NotAfter}
}

func NewSealKey(now time.Time) SealKey {
	s := make([]byte, 32)
	rand.Read(s)
	return SealKey{ID: id.Ref(), Secret: s, NotBefore: now, NotAfter: now.Add(SealKeyActive + VisitLife + Leeway)}
}

// Ticket is the key that seals browsers' TLS sessions, as long as k seals their
// visits. Nobody can tell k from it.
func (k SealKey) Ticket() [32]byte {
	b, err := hkdf.Key(sha256.New, k.Secret, nil, "trunkline session ticket 1", 32)
	if err != nil {
		panic("BUG: hkdf: " + err.Error())
	}
	return [32]byte(b)
}

package fleet

import (
	"context"
	"time"

	"trunkline/internal/token"
)

// What Run does by the clock, done now.

func (f *Fleet) TickForTest(ctx context.Context) error          { return f.tick(ctx) }
func (f *Fleet) FlushForTest(ctx context.Context) error         { return f.flush(ctx) }
func (f *Fleet) SweepForTest(ctx context.Context) (bool, error) { return f.sweep(ctx) }
func (f *Fleet) SampleForTest(ctx context.Context) error        { return f.sample(ctx) }
func (f *Fleet) ReviewForTest(ctx context.Context) error        { return f.reviewWatchers(ctx) }
func (f *Fleet) RotateForTest(ctx context.Context) error        { return f.rotateKeys(ctx) }

// HoldHashing takes all turns of checking passwords until release.
func (f *Fleet) HoldHashing() (release func()) {
	for range cap(f.hasher.turns) {
		f.hasher.turns <- struct{}{}
	}
	return func() {
		for range cap(f.hasher.turns) {
			<-f.hasher.turns
		}
	}
}

var (
	NewEmail        = newEmail
	HashPassword    = hashPassword
	PasswordMatches = passwordMatches
	NextIssued      = nextIssued
	VoidAt          = voidAt
	AcceptModel     = acceptModel
	ParseFirmware   = parseFirmware
	AddressKey      = addressKey
)

const (
	WatchBuffer  = watchBuffer
	MaxEvents    = maxEvents
	MaxGroups    = maxGroups
	MaxPending   = maxPending
	SweepBatch   = sweepBatch
	SampleEvery  = sampleEvery
	MaxThrottled = maxThrottled
	KeyAhead     = keyAhead
	LeaseDoubt   = leaseDoubt
	Settle       = settleTime
)

// Signer is what the keys sign with at now.
func Signer(keys []token.SigningKey, now time.Time) string {
	k, _ := keyring{signing: keys}.signer(now)
	return k.ID
}

type ThrottleForTest = throttle

func NewThrottleForTest(t Throttle) *ThrottleForTest { return newThrottle(t) }
func (t *throttle) Take(now time.Time, keys ...string) (time.Duration, bool) {
	return t.take(now, keys...)
}
func (t *throttle) GiveBack(now time.Time, keys ...string) { t.giveBack(now, keys...) }
func (t *throttle) Len() int                               { return len(t.buckets) }

// CheapHash is a password's hash at costs that many tests can pay.
func CheapHash(password string) string { return hashAt(64, 1, password) }

func CodeHash(s string) (string, bool) { return codeHash(s) }

// RowOfClaim is where the database has it.
func RowOfClaim(c *Claim) string { return c.row }

// Facts works off what the routes said of pairs.
func (f *Fleet) Facts(ctx context.Context) error {
	for d, s := range f.facts.take() {
		if err := f.applyFacts(ctx, d, s); err != nil {
			return err
		}
	}
	return nil
}

func (f *Fleet) SweepPairs(ctx context.Context) error { return f.sweepPairs(ctx) }

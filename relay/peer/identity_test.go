package peer_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zaptest"

	"trunkline/internal/peercert"
	"trunkline/relay/peer"
)

// A relay whose clock is so far ahead that each new certificate has little left of its
// life gets by with them, and does not ask for one after the other.
func TestAClockFarAheadAsksAtAPace(t *testing.T) {
	for _, ahead := range []time.Duration{17 * time.Hour, 20 * time.Hour, 23*time.Hour + 50*time.Minute} {
		t.Run(ahead.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := peercert.NewAuthority(time.Now().Add(-48 * time.Hour))
				ctx, stop := context.WithTimeout(t.Context(), time.Hour)
				defer stop()
				most := int(time.Hour/peer.AskMost) + 1
				asked, until := 0, time.Time{}
				err := peer.KeepCertificateForTest(ctx, "relay-1", a.Root(), func(_ context.Context, request []byte) ([]byte, error) {
					if !until.IsZero() && time.Now().After(until) {
						t.Errorf("asked again when the one before had ended")
					}
					if asked++; asked > most {
						stop()
					}
					control := time.Now().Add(-ahead)
					until = control.Add(peercert.Life)
					return a.Issue("relay-1", request, control)
				}, zaptest.NewLogger(t))
				if err != nil {
					t.Error(err)
				}
				if asked < 2 || asked > most {
					t.Errorf("asked %d times in an hour, which should be up to %d", asked, most)
				}
			})
		})
	}
}

package peer_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"
)

// Many streams of one link, each saying little and much in turn: not a byte is
// another's, or out of order.
func TestManyStreamsPassAtOnce(t *testing.T) {
	passing(t, func(t *testing.T, by func(admission) admission) {
		_, first, second := pair(t)
		second.admits(by(device(t, echo)))
		var wg sync.WaitGroup
		for seed := range uint64(24) {
			s := first.open(question())
			wg.Go(func() {
				dice := rand.New(rand.NewPCG(seed, 1))
				content := random(20 << 10)
				for range 40 {
					want := content[dice.IntN(1<<10):]
					want = want[:1+dice.IntN(len(want))>>dice.IntN(8)]
					var asking sync.WaitGroup
					asking.Go(func() {
						if _, err := s.Write(want); err != nil {
							t.Error(err)
						}
					})
					_ = s.SetReadDeadline(time.Now().Add(2 * patience))
					got := make([]byte, len(want))
					_, err := io.ReadFull(s, got)
					asking.Wait()
					if err != nil || !bytes.Equal(got, want) {
						t.Errorf("other bytes came than were sent: %v", err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}

// A stream that is kept for the next request holds no goroutine.
func TestStreamsThatRestHoldNoGoroutine(t *testing.T) {
	_, first, second := pair(t)
	second.admits(device(t, echo))
	said(t, first.open(question()))
	before := runtime.NumGoroutine()
	const streams = 100
	for range streams {
		said(t, first.open(question()))
	}
	const devices = streams // their ends of these streams, which echo
	eventually(t, "all goroutines but the devices' have ended", func() error {
		if n := runtime.NumGoroutine() - before - devices; n > streams/4 {
			return fmt.Errorf("%d more", n)
		}
		return nil
	})
}

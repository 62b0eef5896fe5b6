package fleet

import (
	"context"
	"sync"
	"time"

	"trunkline/internal/fault"
)

// maxWaiting is how many may wait for others' tries to be judged.
const maxWaiting = 1024

// tries is a throttle for what takes a while to be found right or wrong. Who
// finds a bucket empty while others' tries under the same key are being judged
// waits for their outcome, and is not refused: a right one puts its token
// back. So 200 PBXs can be activated at once with one person's password, and
// wrong passwords are bounded as before, however many come in parallel.
type tries struct {
	throttle *throttle

	mu      sync.Mutex
	pending map[string]int
	waiting int
	changed chan struct{} // closed, and made anew, when a try was judged
}

func newTries(t Throttle) *tries {
	return &tries{throttle: newThrottle(t), pending: make(map[string]int), changed: make(chan struct{})}
}

// begin takes a token for each key; end must follow. Or it gives the time to
// wait; first is true once per time that the keys run dry.
func (t *tries) begin(ctx context.Context, now func() time.Time, keys ...string) (wait time.Duration, first bool, err error) {
	for {
		t.mu.Lock()
		lack := t.throttle.lacks(now(), keys...)
		if lack == 0 || !t.pendingLocked(keys) {
			wait, first = t.throttle.take(now(), keys...)
			if wait == 0 {
				for _, k := range keys {
					t.pending[k]++
				}
			}
			t.mu.Unlock()
			return wait, first, nil
		}
		if t.waiting >= maxWaiting {
			t.mu.Unlock()
			return 0, false, fault.New(fault.Unavailable, "Too many sign-ins at this moment. Try again shortly.").After(5 * time.Second)
		}
		t.waiting++
		changed := t.changed
		t.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			err = ctx.Err()
		}
		t.mu.Lock()
		t.waiting--
		t.mu.Unlock()
		if err != nil {
			return 0, false, err
		}
	}
}

func (t *tries) pendingLocked(keys []string) bool {
	for _, k := range keys {
		if t.pending[k] > 0 {
			return true
		}
	}
	return false
}

// end says how a try was judged. One that could not be judged counts as right.
func (t *tries) end(now time.Time, right bool, keys ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range keys {
		if t.pending[k]--; t.pending[k] <= 0 {
			delete(t.pending, k)
		}
	}
	if right {
		t.throttle.giveBack(now, keys...)
	}
	close(t.changed)
	t.changed = make(chan struct{})
}

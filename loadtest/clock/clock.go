// Package clock waits, no longer than a context lasts.
package clock

import (
	"context"
	"time"
)

// Sleep waits for d. It is false if ctx ended.
func Sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// Again tries every so often until there is no error, for as long as patience, and
// gives the last error. It tries no more when ctx has ended.
func Again(ctx context.Context, patience, every time.Duration, try func() error) error {
	for late := time.Now().Add(patience); ; {
		err := try()
		if err == nil || time.Now().After(late) || !Sleep(ctx, every) {
			return err
		}
	}
}

// Until waits for a time. It is false if ctx ended.
func Until(ctx context.Context, at time.Time) bool { return Sleep(ctx, time.Until(at)) }

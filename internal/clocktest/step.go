// Package clocktest makes the times that a program reads after somebody has set
// the machine's clock. It is for tests.
package clocktest

import (
	"fmt"
	"time"
	"unsafe"
)

// Step is what time.Now would have returned for now if the clock on the wall had
// been set by d, a whole number of seconds, before: another time of day, and the
// same reading of the monotonic clock. Package time has no function for that,
// since nobody but the clock can do it. It panics if now has no such reading, and
// if package time keeps times in another way than it did.
func Step(now time.Time, d time.Duration) time.Time {
	const monotonic, secondsShift = 1 << 63, 30 // of wall, as time.Time's documentation in its source has it
	t := now
	wall := (*uint64)(unsafe.Pointer(&t))
	if *wall&monotonic == 0 {
		panic("clocktest: a time without a monotonic reading")
	}
	*wall += uint64(d/time.Second) << secondsShift
	if t.Sub(now) != 0 || t.Round(0).Sub(now.Round(0)) != d {
		panic(fmt.Sprintf("clocktest: %v is not %v after %v: package time keeps times in another way now", t, d, now))
	}
	return t
}

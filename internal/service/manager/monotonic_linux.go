package manager

import (
	"time"

	"golang.org/x/sys/unix"
)

// monotonic is the system's CLOCK_MONOTONIC, by which the manager tells which
// reload an answer is to.
func monotonic() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

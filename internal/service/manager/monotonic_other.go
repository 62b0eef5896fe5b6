//go:build !linux

package manager

import "time"

// monotonic is for a manager that is not there.
func monotonic() time.Duration { return 0 }

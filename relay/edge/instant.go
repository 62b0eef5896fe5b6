package edge

import "time"

// What is kept in one word is nanoseconds since this process began, on the
// monotonic clock: a step of the machine's clock neither cuts what moves nor
// stops what is limited.

var began = time.Now()

func instant(now time.Time) int64 { return int64(now.Sub(began)) }

func since(instant int64) time.Duration { return time.Since(began) - time.Duration(instant) }

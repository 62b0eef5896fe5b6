package orphan

import (
	"context"
	"time"
)

// How long a relay has to be gone, and how often that is looked at.
const (
	After     = after
	LookEvery = lookEvery
)

// StepForTest is one look, as at the time now.
func (r *Routes) StepForTest(ctx context.Context, now time.Time) error { return r.step(ctx, now) }

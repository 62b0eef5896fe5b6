package fleet

import (
	"context"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

const (
	sweepEvery     = 30 * time.Second
	licenceEvery   = time.Minute
	republishRetry = 2 * time.Second
)

// TickEvery is how late what follows from silence may be seen: that a lease has
// ended, and that its relay has been missing for too long.
const TickEvery = 250 * time.Millisecond

// Run does what nobody asks for: it rotates and publishes keys, repeats what
// the bus missed, sweeps what has passed and carries presence to the database
// and to the watchers. It ends with ctx, after a last write.
func (f *Fleet) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { f.runKeys(ctx); return nil })
	g.Go(func() error { f.runRepublish(ctx); return nil })
	g.Go(func() error { f.runSweep(ctx); return nil })
	g.Go(func() error { f.runTick(ctx); return nil })
	g.Go(func() error { f.runFlush(ctx); return nil })
	g.Go(func() error { f.runLicence(ctx); return nil })
	g.Go(func() error { f.runSamples(ctx); return nil })
	g.Go(func() error { f.runFacts(ctx); return nil })
	g.Go(func() error { f.runPairs(ctx); return nil })
	return g.Wait()
}

func (f *Fleet) runKeys(ctx context.Context) {
	// Whatever the bus held when we were away, it is put there again, keys last.
	f.republishSoon()
	for pause(ctx, keysEvery) {
		if err := f.rotateKeys(ctx); err != nil {
			f.complain(ctx, "rotate keys", err)
		}
	}
}

func (f *Fleet) runRepublish(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.stale:
		}
		if err := f.Republish(ctx); err != nil {
			f.complain(ctx, "republish", err)
			pause(ctx, republishRetry) // Republish has asked for the next try
		}
	}
}

func (f *Fleet) runSweep(ctx context.Context) {
	every(ctx, sweepEvery, func() {
		if err := f.writeTokenUses(ctx); err != nil {
			f.complain(ctx, "write the last use of tokens", err)
		}
		if err := f.reviewWatchers(ctx); err != nil {
			f.complain(ctx, "review watchers", err)
		}
		for more := true; more; {
			var err error
			if more, err = f.sweep(ctx); err != nil {
				f.complain(ctx, "sweep", err)
			}
		}
	})
}

func (f *Fleet) runLicence(ctx context.Context) {
	every(ctx, licenceEvery, func() {
		if err := f.watchLicence(ctx); err != nil {
			f.complain(ctx, "watch licence", err)
		}
		if err := f.countFleet(ctx); err != nil {
			f.complain(ctx, "count the fleet", err)
		}
	})
}

func (f *Fleet) runSamples(ctx context.Context) {
	every(ctx, sampleEvery/3, func() {
		if err := f.sample(ctx); err != nil {
			f.complain(ctx, "sample", err)
		}
	})
}

func (f *Fleet) runPairs(ctx context.Context) {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for ctx.Err() == nil {
		if err := f.sweepPairs(ctx); err != nil {
			f.complain(ctx, "sweep pairs", err)
		}
		select {
		case <-ctx.Done():
		case <-f.free:
		case <-t.C:
		}
	}
}

func (f *Fleet) runTick(ctx context.Context) {
	every(ctx, TickEvery, func() {
		if err := f.tick(ctx); err != nil {
			f.complain(ctx, "settle presence", err)
		}
	})
}

// tick lets time pass for the presence.
func (f *Fleet) tick(ctx context.Context) error {
	if f.presence.tick() {
		f.orphans.Store(true)
	}
	if !f.orphans.Load() {
		return nil
	}
	var ds []Device
	err := f.view(ctx, "read connected devices", func(tx Tx) (err error) {
		ds, err = tx.ConnectedDevices()
		return err
	})
	if err != nil {
		return err // and again with the next tick
	}
	f.orphans.Store(false)
	f.presence.adopt(ds)
	return f.findSingles(ctx)
}

func (f *Fleet) runFlush(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-f.presence.wake:
			if err := f.flush(ctx); err != nil {
				f.complain(ctx, "write presence", err)
				pause(ctx, republishRetry)
			}
			if f.presence.pending() < flushBatch {
				pause(ctx, flushEvery)
			}
		}
	}
	// The last word, so that a restart begins with it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), busTimeout)
	defer cancel()
	for f.presence.pending() > 0 && ctx.Err() == nil {
		if err := f.flush(ctx); err != nil {
			f.log.Warn("presence not written at the end", zap.Error(err))
			return
		}
	}
}

// complain logs what a background part will try again. The end is no news.
func (f *Fleet) complain(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		f.log.Warn("will try again", zap.String("what", what), zap.Error(err))
	}
}

// every calls fn at once and then at each interval until ctx ends.
func every(ctx context.Context, d time.Duration, fn func()) {
	t := time.NewTicker(d)
	defer t.Stop()
	for ctx.Err() == nil {
		fn()
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
}

// pause waits and reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

package cluster

import (
	"context"
	"sync"
	"time"

	"trunkline/internal/controlapi"
	"trunkline/internal/id"
	"trunkline/loadtest/clock"
	"trunkline/loadtest/fleet"
)

// watch is how the fleet does while something fails: which devices have a tunnel
// that works, and what control says of them.
type watch struct {
	c     *Cluster
	pbxs  []*fleet.PBX
	began time.Time

	mu      sync.Mutex
	least   int // tunnels that worked, at the worst moment
	now     int
	most    time.Time               // of the last moment with less than 95 %
	all     time.Time               // and with less than all
	wrong   map[id.Serial]time.Time // since when control is wrong about a device
	longest map[id.Serial]time.Duration
	asked   int // times that control answered
}

const (
	lookEvery   = 200 * time.Millisecond
	sampleEvery = 2 * time.Second
	// excused is how long control may be wrong about a device after a failure.
	excused = 10 * time.Second
)

func newWatch(c *Cluster, pbxs []*fleet.PBX) *watch {
	return &watch{
		c: c, pbxs: pbxs, began: time.Now(), least: len(pbxs), now: len(pbxs),
		wrong: make(map[id.Serial]time.Time), longest: make(map[id.Serial]time.Duration),
	}
}

// run watches until ctx ends.
func (w *watch) run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for clock.Sleep(ctx, sampleEvery) {
			w.sample(ctx)
		}
	})
	for clock.Sleep(ctx, lookEvery) {
		w.look(time.Now())
	}
}

// up reports whether a device's tunnel works: its agent has one, and the relay
// at its other end is there.
func (w *watch) up(p *fleet.PBX) bool {
	r := p.Relay()
	return r != "" && w.c.serves(r)
}

func (w *watch) look(now time.Time) {
	n := 0
	for _, p := range w.pbxs {
		if w.up(p) {
			n++
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now, w.least = n, min(w.least, n)
	if n*100 < len(w.pbxs)*95 {
		w.most = now
	}
	if n < len(w.pbxs) {
		w.all = now
	}
}

// sample compares what control says of every device with what is so.
func (w *watch) sample(ctx context.Context) {
	said, err := w.statuses(ctx)
	if err != nil {
		return // nobody was told anything, and so nothing wrong
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	for _, p := range w.pbxs {
		s := p.Serial()
		// That it is not known is true, if control says so.
		if said[s] == controlapi.StatusUnknown || (said[s] == controlapi.StatusConnected) == w.up(p) {
			delete(w.wrong, s)
			continue
		}
		if w.wrong[s].IsZero() {
			w.wrong[s] = now
		}
		w.longest[s] = max(w.longest[s], now.Sub(w.wrong[s]))
	}
}

func (w *watch) statuses(ctx context.Context) (map[id.Serial]string, error) {
	out := make(map[id.Serial]string)
	q := controlapi.DeviceQuery{PageQuery: controlapi.PageQuery{Limit: 200}}
	for {
		page, err := w.c.API.Devices(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, d := range page.Items {
			out[d.Serial] = d.Status
		}
		if page.Next == "" {
			return out, nil
		}
		q.Cursor = page.Next
	}
}

// settled reports that every device's tunnel works, and that control knows.
func (w *watch) settled() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now == len(w.pbxs) && len(w.wrong) == 0
}

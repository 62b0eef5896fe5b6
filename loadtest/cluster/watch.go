package cluster

import (
	"context"
	"fmt"
	"strings"
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
	c       *Cluster
	devices []*watched

	mu    sync.Mutex
	least int // tunnels that worked, at the worst moment
	now   int
	most  time.Time // of the last moment with less than 95 %
	all   time.Time // and with less than all
	asked int       // times that control answered
}

// watched is one device. What control says of it is held against what is so: it
// has its time anew with each change of that, and what it said while something
// changed may be of before or of after.
type watched struct {
	serial id.Serial
	up     func() bool

	is      bool      // up, as far as was seen; the watch's mu guards this and what follows
	since   time.Time // when that changed last
	right   time.Time // when control was asked last that said so
	wrong   bool      // it said otherwise, the last time
	longest time.Duration
	dark    time.Time // since when control has said that it does not know; zero: it says something
	darkest time.Duration
}

const (
	lookEvery   = 200 * time.Millisecond
	sampleEvery = 2 * time.Second
	// excused is how long control may be wrong about a device after a failure.
	excused = 10 * time.Second
	// unknown is how long it may say that it does not know, while most of NATS is there.
	unknown = 20 * time.Second
)

func newWatch(c *Cluster, pbxs []*fleet.PBX) *watch {
	w := &watch{c: c, least: len(pbxs), now: len(pbxs)}
	for _, p := range pbxs {
		w.devices = append(w.devices, newWatched(p.Serial(), func() bool { return c.works(p) }, time.Now()))
	}
	return w
}

// newWatched is of a device that is up, and of which control knows that.
func newWatched(s id.Serial, up func() bool, now time.Time) *watched {
	return &watched{serial: s, up: up, is: true, since: now}
}

// works reports whether a device's tunnel does: its agent has one, and the relay
// at its other end is there.
func (c *Cluster) works(p *fleet.PBX) bool {
	r := p.Relay()
	return r != "" && c.serves(r)
}

// run watches until ctx ends.
func (w *watch) run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for clock.Sleep(ctx, sampleEvery) {
			asked := time.Now()
			if said, err := w.statuses(ctx); err == nil { // if not, nobody was told anything, and so nothing wrong
				w.judge(said, asked)
			}
		}
	})
	for clock.Sleep(ctx, lookEvery) {
		w.look(time.Now())
	}
}

func (w *watch) ups() []bool {
	up := make([]bool, len(w.devices))
	for i, d := range w.devices {
		up[i] = d.up()
	}
	return up
}

func (w *watch) look(now time.Time) {
	up := w.ups()
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for i, d := range w.devices {
		if up[i] {
			n++
		}
		if up[i] != d.is {
			d.is, d.since = up[i], now
		}
	}
	w.now, w.least = n, min(w.least, n)
	if n*100 < len(w.devices)*95 {
		w.most = now
	}
	if n < len(w.devices) {
		w.all = now
	}
}

// judge compares what control, asked then, said of every device with what is so.
func (w *watch) judge(said map[id.Serial]string, asked time.Time) {
	up := w.ups()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	for i, d := range w.devices {
		if up[i] != d.is || d.since.After(asked) {
			continue
		}
		word := said[d.serial]
		d.heed(word == controlapi.StatusUnknown, asked)
		// That it is not known is true, if control says so.
		if d.wrong = word != controlapi.StatusUnknown && (word == controlapi.StatusConnected) != d.is; !d.wrong {
			d.right = asked
			continue
		}
		from := d.since
		if d.right.After(from) {
			from = d.right
		}
		d.longest = max(d.longest, asked.Sub(from))
	}
}

// heed takes whether control, asked then, did not know of the device.
func (d *watched) heed(dark bool, asked time.Time) {
	if dark && d.dark.IsZero() {
		d.dark = asked
	}
	if !d.dark.IsZero() {
		d.darkest = max(d.darkest, asked.Sub(d.dark))
	}
	if !dark {
		d.dark = time.Time{}
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
func (w *watch) settled() bool { return w.unsettled() == "" }

// unsettled says what is missing for that; "": nothing.
func (w *watch) unsettled() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var wrong, dark int
	for _, d := range w.devices {
		if d.wrong {
			wrong++
		}
		if !d.dark.IsZero() {
			dark++
		}
	}
	var missing []string
	for _, m := range []struct {
		n    int
		what string
	}{
		{len(w.devices) - w.now, "%d PBXs have no tunnel that works"}, {wrong, "control is wrong about %d PBXs"}, {dark, "control does not know of %d PBXs"},
	} {
		if m.n > 0 {
			missing = append(missing, fmt.Sprintf(m.what, m.n))
		}
	}
	return strings.Join(missing, ", ")
}

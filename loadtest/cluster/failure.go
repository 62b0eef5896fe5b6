package cluster

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"trunkline/loadtest"
	"trunkline/loadtest/clock"
)

// Failure is one thing that happens to an installation.
type Failure struct {
	Name  string
	About string
	// Cuts needs nodes whose network can be cut.
	Cuts bool
	// Blind takes so much of NATS that control cannot know.
	Blind bool
	// Dark is how long control may say of a PBX that it does not know, where it is not
	// Blind; 0: as long as in most.
	Dark time.Duration
	// Mute takes the database, without which control answers nothing.
	Mute bool
	// Do does it and undoes it. It returns facts for people, when the nodes are as
	// they were.
	Do func(context.Context, *Scene) error
	// Judge notes which goals were missed.
	Judge func(*Row)
}

// Scene is where a failure happens.
type Scene struct {
	*Cluster
	Generator *loadtest.Generator
	Scale     Scale
	hit       time.Time
	part      part // that fails
	facts     []string
	late      []string // goals of time that were missed
	alike     period   // of an upgrade: all relays are of the program under test, and one stops
}

// Scale is how long things last.
type Scale struct {
	NATSAway, DatabaseAway, Frozen, Cut time.Duration

	Stepped time.Duration // how long a clock is wrong

	Download time.Duration // of a long one

	Drain Drain         // of a relay
	Apart time.Duration // from when a relay is ready again to the next one's drain
}

// Drain is that of the relays' configuration. Between linger and deadline a download
// that was just begun has to come to its end.
type Drain struct{ Linger, Spread, Deadline time.Duration }

// Full is the whole test's scale, and Short that of one that is run with every
// change.
var (
	Full  = Scale{NATSAway: 10 * time.Minute, DatabaseAway: 5 * time.Minute, Frozen: 30 * time.Second, Cut: 60 * time.Second, Stepped: 30 * time.Second, Download: 16 * time.Second, Drain: Drain{10 * time.Second, 10 * time.Second, 30 * time.Second}, Apart: lead}
	Short = Scale{NATSAway: 5 * time.Second, DatabaseAway: 5 * time.Second, Frozen: 5 * time.Second, Cut: 5 * time.Second, Stepped: 5 * time.Second, Download: 2 * time.Second, Drain: Drain{time.Second, 2 * time.Second, 5 * time.Second}, Apart: time.Second}
)

// now says that it happens now. What failed before is no fault of it.
func (s *Scene) now() { s.hit = time.Now() }

// wait lets time pass.
func (s *Scene) wait(ctx context.Context, d time.Duration) { clock.Sleep(ctx, d) }

func (s *Scene) fact(format string, args ...any) {
	s.facts = append(s.facts, fmt.Sprintf(format, args...))
}

const (
	// lead is how long all must go well before.
	lead = 3 * time.Second
	// quiet is how long nothing may have failed until it counts as over.
	quiet = 4 * time.Second
	// patience is how long that is waited for.
	patience = 2 * time.Minute
)

// Happen lets one thing fail under load, and waits until all is well again.
func Happen(ctx context.Context, s *Scene, f Failure) Row {
	row := Row{Failure: f.Name, About: f.About}
	w := newWatch(s.Cluster, s.Generator.PBXs())
	watching, stop := context.WithCancel(ctx)
	var beside sync.WaitGroup
	var still time.Duration
	beside.Go(func() { w.run(watching) })
	beside.Go(func() { still = stood(watching) })
	l := startLoad(ctx, s)
	s.hit, s.part, s.facts, s.late, s.alike = time.Time{}, part{}, nil, nil, period{}
	clock.Sleep(ctx, lead)
	if err := f.Do(ctx, s); err != nil {
		row.fault("%v", err)
	}
	if !calm(ctx, l, w) {
		row.fault("not everything was well again after %v: %s", patience, cmp.Or(w.unsettled(), "requests went on failing"))
	}
	kinds := l.end()
	stop()
	beside.Wait()
	if still > stoodLong {
		s.fact("the process that is all PBXs, all visitors and the balancer stood still for %.1f s at the longest", still.Seconds())
	}
	if s.hit.IsZero() {
		s.hit = l.began.Add(lead)
	}
	row.Seconds, row.Facts, row.Late = time.Since(l.began).Seconds(), s.facts, s.late
	row.count(kinds)
	row.see(w, s.hit)
	row.Closed, row.Abrupt, row.Unspoken = l.losses.closed, int64(len(l.losses.abrupt)), l.losses.abruptIn(s.alike)
	row.lose(l.losses.all, s.hit, still, s.part, s.relayAt)
	f.Judge(&row)
	f.judgeDark(&row)
	// Each answer is of all PBXs, and takes a while: a third of those it was asked for
	// is enough to be held against what is so.
	if few := int(row.Seconds / sampleEvery.Seconds() / 3); !f.Mute && row.Samples < few {
		row.late("control said only %d times how its PBXs are, in %.0f s", row.Samples, row.Seconds)
	}
	return row
}

// judgeDark notes if control did not know for too long.
func (f Failure) judgeDark(r *Row) {
	if limit := cmp.Or(f.Dark, unknown); !f.Blind && r.Dark > limit.Seconds() {
		r.late("control did not know for %.0f s, and most of NATS was there; the goal is %v", r.Dark, limit)
	}
}

// calm waits until nothing has failed for a while, every device is back, and control
// knows so.
func calm(ctx context.Context, l *load, w *watch) bool {
	last, since := l.failures(), time.Now()
	for late := since.Add(patience); time.Now().Before(late); {
		if !clock.Sleep(ctx, lookEvery) {
			return false
		}
		if n := l.failures(); n != last || !w.settled() {
			last, since = n, time.Now()
		}
		if time.Since(since) > quiet {
			return true
		}
	}
	return false
}

// nothingLost is the goal of most failures.
func nothingLost(r *Row) {
	nothingLostBut(r, 0)
}

func nothingLostBut(r *Row, n int64) {
	if n := r.lost() - n; n > 0 {
		r.fault("%d requests of open visits were lost, and none may be", n)
	}
	rightBytes(r)
	rightStatuses(r)
}

// restarted is the goal where relays are restarted in order: a WebSocket ends by their
// word, and a message may meet that on its way.
func restarted(r *Row) {
	nothingLostBut(r, r.Crossed)
	if r.Abrupt > 0 {
		r.fault("%d WebSockets ended without a word from their relay, of %d that ended", r.Abrupt, r.Closed)
	}
}

func rightBytes(r *Row) {
	if r.Corrupted > 0 {
		r.fault("%d bytes were lost, came twice or as others, and no error told so", r.Corrupted)
	}
}

func rightStatuses(r *Row) {
	if r.Wrong > 0 {
		r.late("control was wrong about %d devices for more than %v, %.0f s at the longest", r.Wrong, excused, r.Longest)
	}
}

// back is the goal of those that take tunnels away.
func back(r *Row) {
	if r.Most > 30 || r.All > 60 {
		r.late("95 %% of the devices were back after %.0f s, all after %.0f s; the goals are 30 s and 60 s", r.Most, r.All)
	}
}

package cluster

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"trunkline/loadtest/scenario"
	"trunkline/loadtest/traffic"
)

// Loss is one request of an open visit that had no right answer.
type Loss struct {
	Kind   string  `json:"kind"`
	Due    float64 `json:"due_s"`           // seconds after it happened
	Begun  float64 `json:"begun_s"`         // likewise; none or less: it was under way. Of a message without a socket, when that was asked for
	Seen   float64 `json:"seen_s"`          // when the visitor knew
	Entry  string  `json:"entry,omitzero"`  // the relay that the visitor's connection led to
	Held   bool    `json:"held,omitzero"`   // by the part that failed: it was for a PBX whose tunnel was there
	Code   string  `json:"code"`            // of what went wrong
	Answer string  `json:"answer,omitzero"` // what came instead of the right one
}

const (
	maxLosses = 10_000 // in a Row
	maxShown  = 40     // for people
)

// losses are what many visitors lost. The load bounds them.
type losses struct {
	mu  sync.Mutex
	all []traffic.Loss

	closed int64       // WebSockets that the relays ended
	abrupt []time.Time // when those of them ended that had no 1012
}

// period is a part of a row.
type period struct{ from, to time.Time }

func (l *losses) close(restart bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed++
	if !restart {
		l.abrupt = append(l.abrupt, time.Now())
	}
}

// abruptIn is how many WebSockets ended so in that time.
func (l *losses) abruptIn(p period) (n int64) {
	for _, at := range l.abrupt {
		if !at.Before(p.from) && at.Before(p.to) {
			n++
		}
	}
	return n
}

func (l *losses) add(x traffic.Loss) {
	if !slices.Contains(visits, x.Kind) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, x)
}

// lose takes the requests that were lost. still is for how long this process did not
// come to run, and name the relay at an address.
func (r *Row) lose(all []traffic.Loss, hit time.Time, still time.Duration, p part, name func(addr string) string) {
	slices.SortFunc(all, func(a, b traffic.Loss) int {
		return cmp.Or(a.Due.Compare(b.Due), a.Seen.Compare(b.Seen))
	})
	r.Part = p.name()
	for _, x := range all {
		l := Loss{x.Kind, x.Due.Sub(hit).Seconds(), x.Begun.Sub(hit).Seconds(), x.Seen.Sub(hit).Seconds(), name(x.Entry), p.holds[x.Content], x.Code, x.Answer}
		if l.Begun <= 0 {
			r.Before++
		}
		if l.isCrossed(unseen(still)) {
			r.Crossed++
		}
		r.Healthy = max(r.Healthy, l.Due)
		r.sort(l, p, !x.Open.IsZero() && x.Open.Before(hit), unseen(still), r.All+spread)
		if len(r.Losses) < maxLosses {
			r.Losses = append(r.Losses, l)
		}
	}
}

// sort tells by whether it was at the part that failed. kept: on a WebSocket that
// opened before that.
func (r *Row) sort(l Loss, p part, kept bool, seen, back float64) {
	switch {
	case p.none():
	case p.how == killed:
		if p.underWay(l, kept, seen) {
			r.There++
		}
	case p.relay != "" && l.Entry == p.relay:
		r.There++
	case l.isRepeatable():
		r.Repeatable++
	case l.Held && l.Begun <= back:
		r.Through++
	}
}

// isRepeatable: whoever takes it may ask for it again.
func (l Loss) isRepeatable() bool {
	return (l.Kind == scenario.Page || l.Kind == scenario.Slow) && l.Code != traffic.CodeCut
}

// isCrossed: a message was sent while the 1012 was on its way to who sent it. A relay
// says that in a pause, and nobody was told of the message that it was taken.
func (l Loss) isCrossed(seen float64) bool {
	return l.Code == traffic.CodeRestart && l.Seen-l.Begun < seen
}

// printLosses writes them one by one, those that were due first.
func (r *Row) printLosses(w io.Writer) {
	for i, l := range r.Losses {
		if i == maxShown {
			fmt.Fprintf(w, "    and %d more; --json has the first %d\n", r.lost()-maxShown, maxLosses)
			return
		}
		fmt.Fprintf(w, "    %-9s due %+.3f s, begun %+.3f s, lost %+.3f s, by %s: %s", l.Kind, l.Due, l.Begun, l.Seen, cmp.Or(l.Entry, "no relay"), l.Code)
		if l.Held {
			fmt.Fprint(w, ", for a PBX whose tunnel was at what failed")
		}
		if l.Answer != "" {
			fmt.Fprintf(w, ": %s", l.Answer)
		}
		fmt.Fprintln(w)
	}
}

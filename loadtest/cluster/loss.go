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
}

func (l *losses) add(x traffic.Loss) {
	if !slices.Contains(visits, x.Kind) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, x)
}

// unseen is for how long a visitor may go on with a kept connection whose relay is
// dead, or with a WebSocket of before that came through it: its process sees the end
// only when it comes to run. A relay that is dead takes no new one.
const unseen = time.Second

// unseenEnd says whether what was lost was sent on something that had just ended with
// the relay that was killed.
func unseenEnd(l traffic.Loss, hit time.Time, killed, entry string) bool {
	return killed != "" && l.Begun.Sub(hit) < unseen && (entry == killed || !l.Open.IsZero() && l.Open.Before(hit))
}

// lose takes the requests that were lost. name is the relay at an address, and killed
// the one that was, if one was.
func (r *Row) lose(all []traffic.Loss, hit time.Time, killed string, name func(addr string) string) {
	slices.SortFunc(all, func(a, b traffic.Loss) int {
		return cmp.Or(a.Due.Compare(b.Due), a.Seen.Compare(b.Seen))
	})
	for _, l := range all {
		due, begun := l.Due.Sub(hit).Seconds(), l.Begun.Sub(hit).Seconds()
		entry := name(l.Entry)
		if begun <= 0 || unseenEnd(l, hit, killed, entry) {
			r.Before++
		}
		r.Healthy = max(r.Healthy, due)
		if len(r.Losses) < maxLosses {
			r.Losses = append(r.Losses, Loss{l.Kind, due, begun, l.Seen.Sub(hit).Seconds(), entry, l.Code, l.Answer})
		}
	}
}

// sort tells by whose relay requests were lost, if one was silent.
func (r *Row) sort(silent string) {
	if r.Silent = silent; silent == "" {
		return
	}
	for _, l := range r.Losses {
		switch {
		case l.Entry == silent:
			r.There++
		case l.isRepeatable():
			r.Repeatable++
		}
	}
}

// isRepeatable: whoever takes it may ask for it again.
func (l Loss) isRepeatable() bool {
	return (l.Kind == scenario.Page || l.Kind == scenario.Slow) && l.Code != traffic.CodeCut
}

// printLosses writes them one by one, those that were due first.
func (r *Row) printLosses(w io.Writer) {
	for i, l := range r.Losses {
		if i == maxShown {
			fmt.Fprintf(w, "    and %d more; --json has the first %d\n", r.lost()-maxShown, maxLosses)
			return
		}
		fmt.Fprintf(w, "    %-9s due %+.3f s, begun %+.3f s, lost %+.3f s, by %s: %s", l.Kind, l.Due, l.Begun, l.Seen, cmp.Or(l.Entry, "no relay"), l.Code)
		if l.Answer != "" {
			fmt.Fprintf(w, ": %s", l.Answer)
		}
		fmt.Fprintln(w)
	}
}

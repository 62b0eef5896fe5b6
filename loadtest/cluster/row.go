package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"trunkline/loadtest/result"
	"trunkline/loadtest/scenario"
)

// Row is what one failure cost.
type Row struct {
	Failure string  `json:"failure"`
	About   string  `json:"about"`
	Seconds float64 `json:"seconds"` // of load, in all
	Due     int64   `json:"due"`     // requests of visits that are open

	Lost   map[string]map[string]int64 `json:"lost,omitzero"`   // of them, by kind and code
	Losses []Loss                      `json:"losses,omitzero"` // of Lost, one by one, in the order in which they were due
	Before int64                       `json:"before,omitzero"` // of Lost: due before it happened
	Cut    int64                       `json:"cut"`             // of Lost: transfers, down and up
	// Closed are WebSockets that relays ended, and Abrupt of them those to which none
	// said that it restarts. Of Lost, Crossed are messages that met such a word on its way.
	// Of Abrupt, Unspoken are those of an upgrade that ended while all relays were of the
	// program under test.
	Closed   int64  `json:"websockets_closed,omitzero"`
	Abrupt   int64  `json:"websockets_cut,omitzero"`
	Unspoken int64  `json:"websockets_cut_by_new,omitzero"`
	Crossed  int64  `json:"lost_crossed,omitzero"`
	Part     string `json:"part,omitzero"` // what failed, if that holds up some PBXs' requests and no others'
	// Of Lost, where there is Part: what came to that relay itself, or was under way
	// through one that was killed; of the rest those that only read and had nothing of
	// an answer yet; and others for PBXs whose tunnel was there and not yet elsewhere.
	There      int64                       `json:"lost_there,omitzero"`
	Through    int64                       `json:"lost_through,omitzero"`
	Repeatable int64                       `json:"lost_repeatable,omitzero"`
	Slowest    float64                     `json:"slowest_page_s"`   // of the pages that came
	Corrupted  int64                       `json:"corrupted"`        // bytes that were lost, came twice or as others
	Console    map[string]map[string]int64 `json:"console,omitzero"` // what staff asked control for in vain

	Devices int      `json:"devices"`
	Least   int      `json:"least"`          // tunnels that worked, at the worst moment
	Most    float64  `json:"most_back_s"`    // seconds until 95 % of the devices had a tunnel that works
	All     float64  `json:"all_back_s"`     // until all had
	Healthy float64  `json:"healthy_s"`      // until the last request that failed was due
	Wrong   int      `json:"wrong_statuses"` // devices about which control was wrong for more than 10 s
	Longest float64  `json:"longest_wrong_s"`
	Dark    float64  `json:"longest_unknown_s"` // for how long control said of a device that it does not know
	Samples int      `json:"samples"`           // of what control says
	Facts   []string `json:"facts,omitzero"`    // what the failure itself found
	Faults  []string `json:"faults,omitzero"`   // goals that were missed
	Late    []string `json:"late,omitzero"`     // and those that a slow machine misses
}

// visits are the kinds of requests of visits that are open.
var visits = []string{scenario.Page, scenario.Slow, scenario.Upload, scenario.WebSocket}

// count takes what the load saw.
func (r *Row) count(kinds map[string]*result.Kind) {
	r.Lost, r.Console = make(map[string]map[string]int64), make(map[string]map[string]int64)
	for name, k := range kinds {
		open := slices.Contains(visits, name)
		for _, t := range k.Steps {
			into := r.Console
			if open {
				into = r.Lost
				r.Due += t.Count()
				c := t.Checked
				r.Corrupted += c.Lost + c.Duplicated + c.Corrupted
			}
			for code, n := range t.Errors {
				if into[name] == nil {
					into[name] = make(map[string]int64)
				}
				into[name][code] += n
			}
			if name == scenario.Page {
				r.Slowest = max(r.Slowest, t.Latency.Quantile(1).Seconds())
			}
			if name == scenario.Slow || name == scenario.Upload {
				r.Cut += t.Failed()
			}
		}
	}
}

// see takes what the watch saw.
func (r *Row) see(w *watch, hit time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r.Devices, r.Least, r.Samples = len(w.devices), w.least, w.asked
	if !w.most.IsZero() {
		r.Most = max(w.most.Add(lookEvery).Sub(hit).Seconds(), 0)
	}
	if !w.all.IsZero() {
		r.All = max(w.all.Add(lookEvery).Sub(hit).Seconds(), 0)
	}
	for _, d := range w.devices {
		r.Longest = max(r.Longest, d.longest.Seconds())
		r.Dark = max(r.Dark, d.darkest.Seconds())
		if d.longest > excused {
			r.Wrong++
		}
	}
}

// lost is how many requests of open visits had no right answer.
func (r *Row) lost() (n int64) { return sum(r.Lost) }

func sum(by map[string]map[string]int64) (n int64) {
	for _, codes := range by {
		for _, k := range codes {
			n += k
		}
	}
	return n
}

// codes are how often each code came, the most frequent first.
func codes(by map[string]map[string]int64) string {
	total := make(map[string]int64)
	for _, codes := range by {
		for code, n := range codes {
			total[code] += n
		}
	}
	names := slices.SortedFunc(maps.Keys(total), func(a, b string) int {
		if d := total[b] - total[a]; d != 0 {
			return int(d)
		}
		return strings.Compare(a, b)
	})
	var out []string
	for _, name := range names {
		out = append(out, fmt.Sprintf("%d %s", total[name], name))
	}
	return strings.Join(out, ", ")
}

// fault notes a goal that was missed.
func (r *Row) fault(format string, args ...any) {
	r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
}

// late notes a goal of time that was missed: it says nothing where the machine
// has other work too.
func (r *Row) late(format string, args ...any) {
	r.Late = append(r.Late, fmt.Sprintf(format, args...))
}

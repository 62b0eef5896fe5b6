package relay

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
	"trunkline/internal/tunnel"
)

// maxGuests of one device are told to it; PROTOCOL.md says so.
const maxGuests = 64

// guests is who visits which device through this relay, so that the devices
// can be told. It calls out while it holds mu: what a device is told must have
// the order of what happened, and nobody it calls blocks or calls back.
type guests struct {
	running func(id.Visit) (token.Visit, bool)
	came    func(id.Device, tunnel.Visit)
	went    func(id.Device, id.Visit, fault.Code)

	mu    sync.Mutex
	of    map[id.Device]map[id.Visit]tunnel.Visit
	at    map[id.Visit][]id.Device
	since map[id.Visit]time.Time  // it is known here, on the monotonic clock
	by    map[id.Visit][]id.Relay // that serve it; "": this one. It is over when it is at all of them
}

func newGuests() *guests {
	return &guests{of: make(map[id.Device]map[id.Visit]tunnel.Visit), at: make(map[id.Visit][]id.Device), since: make(map[id.Visit]time.Time), by: make(map[id.Visit][]id.Relay)}
}

// serve notes that a stream of visit goes to d.
func (g *guests) serve(d id.Device, visit id.Visit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.toldLocked(d, visit, "") {
		return
	}
	if v, ok := g.running(visit); ok {
		g.addLocked(d, tunnel.Visit{ID: v.ID, Who: v.Who, Method: v.Method, Started: v.Started, Idle: v.Idle}, "")
	}
}

// lodge is serve for a visit that another relay serves.
func (g *guests) lodge(from id.Relay, d id.Device, v tunnel.Visit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v.ID != "" && !g.toldLocked(d, v.ID, from) {
		g.addLocked(d, v, from)
	}
}

// toldLocked reports whether there is nothing to be told of d's visit by a relay.
func (g *guests) toldLocked(d id.Device, visit id.Visit, by id.Relay) bool {
	_, known := g.of[d][visit]
	return known && slices.Contains(g.by[visit], by)
}

func (g *guests) addLocked(d id.Device, v tunnel.Visit, by id.Relay) {
	of := g.of[d]
	_, known := of[v.ID]
	if !known && len(of) >= maxGuests {
		return
	}
	if !slices.Contains(g.by[v.ID], by) {
		g.by[v.ID] = append(g.by[v.ID], by)
	}
	if known {
		return
	}
	if of == nil {
		of = make(map[id.Visit]tunnel.Visit)
		g.of[d] = of
	}
	of[v.ID] = v
	if _, had := g.since[v.ID]; !had {
		g.since[v.ID] = time.Now()
	}
	g.at[v.ID] = append(g.at[v.ID], d)
	g.came(d, v)
}

// ended takes a report of trust's. A visit has ended there before it is reported, and
// what somebody has ended does not come back; one that was idle may be here again
// before this comes, and then goes on. It returns a device that was visited, if there
// is one: other relays know of the visit then, wherever its tunnel was meanwhile.
func (g *guests) ended(e bus.VisitEvent) (visited id.Device, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if e.Code == fault.VisitIdle {
		if _, again := g.running(e.Visit); again {
			return "", false
		}
	}
	if at := g.at[e.Visit]; len(at) > 0 {
		visited, ok = at[0], true
	}
	g.endLocked(e.Visit, e.Code, "")
	return visited, ok
}

// over is of a visit that control has ended, whoever serves it.
func (g *guests) over(v id.Visit, code fault.Code) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.endAllLocked(v, code)
}

// endLocked is for a visit that a relay serves no more. Where that one lost sight of
// its visitor another may see them; what somebody has ended is over at all.
func (g *guests) endLocked(v id.Visit, code fault.Code, at id.Relay) {
	by := g.by[v]
	i := slices.Index(by, at)
	if i < 0 {
		return
	}
	switch code {
	case fault.VisitIdle, fault.VisitExpired, fault.RelayLost, fault.ConnectionLost:
		if by = slices.Delete(by, i, i+1); len(by) > 0 {
			g.by[v] = by
			return
		}
	}
	g.endAllLocked(v, code)
}

func (g *guests) endAllLocked(v id.Visit, code fault.Code) {
	for _, d := range g.at[v] {
		if delete(g.of[d], v); len(g.of[d]) == 0 {
			delete(g.of, d)
		}
		g.went(d, v, code)
	}
	delete(g.at, v)
	delete(g.since, v)
	delete(g.by, v)
}

// endedAt takes another relay's word that a visit which it serves is over.
func (g *guests) endedAt(from id.Relay, v id.Visit, code fault.Code) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.endLocked(v, code, from)
}

// served is a visit that another relay is said to serve.
type served struct {
	by id.Relay
	id.Visit
}

// elsewhere are those, and the visits that only others are said to serve, for longer
// than a visit lasts: what is served here ends by itself.
func (g *guests) elsewhere(now time.Time) (all []served, over []id.Visit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for v, by := range g.by {
		if !slices.Contains(by, "") && now.Sub(g.since[v]) > token.VisitLife+token.Leeway {
			over = append(over, v)
			continue
		}
		for _, r := range by {
			if r != "" {
				all = append(all, served{r, v})
			}
		}
	}
	slices.SortFunc(all, func(a, b served) int { return cmp.Or(cmp.Compare(a.by, b.by), cmp.Compare(a.Visit, b.Visit)) })
	return all, over
}

// check asks other relays for the visits that they are said to serve: the word that one
// is over may have been lost with a link. A relay that does not answer is left for the
// next time.
func (g *guests) check(ctx context.Context, now time.Time, serves func(context.Context, id.Relay, id.Visit) (bool, error)) {
	all, over := g.elsewhere(now)
	for _, v := range over {
		g.over(v, fault.VisitExpired)
	}
	var silent id.Relay
	for _, s := range all {
		if s.by == silent {
			continue
		}
		switch on, err := serves(ctx, s.by, s.Visit); {
		case err != nil:
			silent = s.by
		case !on:
			g.endedAt(s.by, s.Visit, fault.VisitIdle)
		}
	}
}

// lost ends here what a relay alone served that cannot be heard any more. Visits that
// go on elsewhere come again.
func (g *guests) lost(r id.Relay) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for v := range g.by {
		g.endLocked(v, fault.RelayLost, r)
	}
}

// tell tells of d's visits again, the oldest first.
func (g *guests) tell(d id.Device) {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]tunnel.Visit, 0, len(g.of[d]))
	for _, v := range g.of[d] {
		all = append(all, v)
	}
	slices.SortFunc(all, func(x, y tunnel.Visit) int { return cmp.Or(x.Started.Compare(y.Started), cmp.Compare(x.ID, y.ID)) })
	for _, v := range all {
		g.came(d, v)
	}
}

// visits are the relays that serve a visit to d, "" being this one; none if it is not one
// to d.
func (g *guests) visits(d id.Device, visit id.Visit) []id.Relay {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.of[d][visit]; !ok {
		return nil
	}
	return slices.Clone(g.by[visit])
}

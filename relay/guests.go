package relay

import (
	"cmp"
	"slices"
	"sync"

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

	mu sync.Mutex
	of map[id.Device]map[id.Visit]tunnel.Visit
	at map[id.Visit][]id.Device
}

func newGuests() *guests {
	return &guests{of: make(map[id.Device]map[id.Visit]tunnel.Visit), at: make(map[id.Visit][]id.Device)}
}

// serve notes that a stream of visit goes to d.
func (g *guests) serve(d id.Device, visit id.Visit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	of := g.of[d]
	if _, known := of[visit]; known || len(of) >= maxGuests {
		return
	}
	v, ok := g.running(visit)
	if !ok {
		return
	}
	if of == nil {
		of = make(map[id.Visit]tunnel.Visit)
		g.of[d] = of
	}
	t := tunnel.Visit{ID: v.ID, Who: v.Who, Method: v.Method, Started: v.Started, Idle: v.Idle}
	of[visit] = t
	g.at[visit] = append(g.at[visit], d)
	g.came(d, t)
}

// ended takes a report of trust's. A visit has ended there before it is
// reported, so serve cannot bring it back.
func (g *guests) ended(e bus.VisitEvent) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, d := range g.at[e.Visit] {
		if delete(g.of[d], e.Visit); len(g.of[d]) == 0 {
			delete(g.of, d)
		}
		g.went(d, e.Visit, e.Code)
	}
	delete(g.at, e.Visit)
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

// visits reports whether visit is one to d.
func (g *guests) visits(d id.Device, visit id.Visit) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ok := g.of[d][visit]
	return ok
}

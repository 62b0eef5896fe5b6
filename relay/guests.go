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

	mu   sync.Mutex
	of   map[id.Device]map[id.Visit]tunnel.Visit
	at   map[id.Visit][]id.Device
	from map[id.Visit]id.Relay // of visits that another relay serves, through this one
}

func newGuests() *guests {
	return &guests{of: make(map[id.Device]map[id.Visit]tunnel.Visit), at: make(map[id.Visit][]id.Device), from: make(map[id.Visit]id.Relay)}
}

// serve notes that a stream of visit goes to d.
func (g *guests) serve(d id.Device, visit id.Visit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.roomLocked(d, visit) {
		return
	}
	if v, ok := g.running(visit); ok {
		g.addLocked(d, tunnel.Visit{ID: v.ID, Who: v.Who, Method: v.Method, Started: v.Started, Idle: v.Idle})
	}
}

// lodge is serve for a visit that another relay serves.
func (g *guests) lodge(from id.Relay, d id.Device, v tunnel.Visit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v.ID == "" || !g.roomLocked(d, v.ID) {
		return
	}
	if len(g.at[v.ID]) == 0 {
		g.from[v.ID] = from
	}
	g.addLocked(d, v)
}

func (g *guests) roomLocked(d id.Device, visit id.Visit) bool {
	of := g.of[d]
	_, known := of[visit]
	return !known && len(of) < maxGuests
}

func (g *guests) addLocked(d id.Device, v tunnel.Visit) {
	of := g.of[d]
	if of == nil {
		of = make(map[id.Visit]tunnel.Visit)
		g.of[d] = of
	}
	of[v.ID] = v
	g.at[v.ID] = append(g.at[v.ID], d)
	g.came(d, v)
}

// ended takes a report of trust's. A visit has ended there before it is
// reported, so serve cannot bring it back.
func (g *guests) ended(e bus.VisitEvent) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.endLocked(e.Visit, e.Code)
}

func (g *guests) endLocked(v id.Visit, code fault.Code) {
	for _, d := range g.at[v] {
		if delete(g.of[d], v); len(g.of[d]) == 0 {
			delete(g.of, d)
		}
		g.went(d, v, code)
	}
	delete(g.at, v)
	delete(g.from, v)
}

// endedAt takes another relay's word that a visit which it serves is over.
func (g *guests) endedAt(from id.Relay, v id.Visit, code fault.Code) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.from[v] == from {
		g.endLocked(v, code)
	}
}

// lost ends here what a relay served that cannot be heard any more. Visits that
// go on elsewhere come again.
func (g *guests) lost(r id.Relay) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for v, from := range g.from {
		if from == r {
			g.endLocked(v, fault.RelayLost)
		}
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

// visits reports whether visit is one to d, and which other relay serves it; ""
// if this one does.
func (g *guests) visits(d id.Device, visit id.Visit) (from id.Relay, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ok = g.of[d][visit]
	return g.from[visit], ok
}

package loadtest

import (
	"net/http"
	"sync"

	"trunkline/internal/id"
	"trunkline/loadtest/fleet"
	"trunkline/loadtest/target"
)

// near takes each request to the relay that holds the PBX's tunnel, as a load
// balancer that knows the routes does, unless the target has another one. It
// keeps connections to each relay.
type near struct {
	t    *target.Target
	pbx  *fleet.PBX
	like *http.Transport

	mu  sync.Mutex
	to  map[id.Relay]*http.Transport
	now id.Relay // while no tunnel is up: the last one
}

func newNear(t *target.Target, p *fleet.PBX, like *http.Transport) *near {
	return &near{t: t, pbx: p, like: like, to: make(map[id.Relay]*http.Transport)}
}

func (n *near) RoundTrip(r *http.Request) (*http.Response, error) { return n.transport().RoundTrip(r) }

func (n *near) transport() *http.Transport {
	relay := n.pbx.Relay()
	n.mu.Lock()
	defer n.mu.Unlock()
	if relay != "" && n.t.Ways.Balance == nil {
		n.now = relay
	}
	t := n.to[n.now]
	if t == nil {
		t = n.like.Clone()
		t.DialContext, t.MaxIdleConnsPerHost = n.t.Ways.Dial(n.now), visitorConns
		if n.t.Ways.Balance != nil {
			t.DialContext = n.t.Ways.Balance
		}
		n.to[n.now] = t
	}
	return t
}

// CloseIdleConnections is what http.Client's finds.
func (n *near) CloseIdleConnections() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, t := range n.to {
		t.CloseIdleConnections()
	}
}

// visitorConns is how many connections a visitor keeps for the next request.
const visitorConns = 16

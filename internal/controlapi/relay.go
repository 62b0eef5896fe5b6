package controlapi

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"trunkline/internal/id"
)

// RelayQuery selects relays and orders them.
type RelayQuery struct {
	Search string `query:"search,omitempty" max:"100" doc:"In name, region, version, or a label as name=value, in any case."`
	State  string `query:"state,omitempty" enum:"ready,draining,silent,stopped"`
	Sort   string `query:"sort,omitempty" enum:"name,region,version,tunnels,load,since" doc:"name if absent."`
	Order  string `query:"order,omitempty" enum:"asc,desc" doc:"asc if absent."`
	PageQuery
}

func (q RelayQuery) values() url.Values {
	v := q.PageQuery.values()
	set(v, "search", q.Search)
	set(v, "state", q.State)
	set(v, "sort", q.Sort)
	set(v, "order", q.Order)
	return v
}

// Relay is one relay of the installation, as its last lease said.
type Relay struct {
	Name       id.Relay  `json:"name"`
	State      string    `json:"state" enum:"ready,draining,silent,stopped,unknown" doc:"silent: nothing is heard of it any more; stopped: it was ended in order; unknown: control and the bus do not reach each other."`
	Since      time.Time `json:"since" doc:"Of the state."`
	LastSeen   time.Time `json:"last_seen"`
	Started    time.Time `json:"started"`
	Region     string    `json:"region,omitempty"`
	Version    string    `json:"version,omitempty"`
	Labels     []Label   `json:"labels,omitempty" max:"16" doc:"As the relay's configuration has them, by name."`
	Addrs      []string  `json:"addresses,omitempty" doc:"host:port, where agents dial it."`
	Tunnels    int       `json:"tunnels"`
	TunnelsMax int       `json:"tunnels_max" doc:"More it does not take."`
	CPU        int       `json:"cpu_percent" doc:"Of the processors it may use, what it used lately."`
}

// Label is a word of the operator's on a relay.
type Label struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Relays lists the installation's relays, for an owner or admin of its own account.
func (c *Client) Relays(ctx context.Context, q RelayQuery) (Page[Relay], error) {
	return call[Page[Relay]](ctx, c, http.MethodGet, "/relays", q.values(), nil)
}

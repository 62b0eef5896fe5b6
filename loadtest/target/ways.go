package target

import (
	"context"
	"errors"
	"net"
	"slices"
	"time"

	"trunkline/internal/controlapi"
	"trunkline/internal/id"
	"trunkline/internal/service"
)

// Ways are where the relays of an installation can be dialled, each for itself.
// None: sites are dialled by their names.
type Ways struct {
	Port   string `json:"port"` // of the sites' URLs
	Relays []Way  `json:"relays"`
	// Balance takes every visitor's connection to whichever relay it likes, as a
	// load balancer does; nil: each goes to the relay that holds the PBX's tunnel.
	Balance dialFunc `json:"-"`
}

// Way is one relay's.
type Way struct {
	Name id.Relay `json:"name"`
	Addr string   `json:"addr"` // host:port
	// Admin is its admin listener, host:port.
	Admin string `json:"admin"`
	// Told is where agents are told to dial it, "": at Addr.
	Told string `json:"told,omitempty"`
}

// Tunnel takes what agents are told to dial to where it is.
func (w Ways) Tunnel() dialFunc {
	usual, at := controlapi.LoopbackDialer(), make(map[string]string)
	for _, r := range w.Relays {
		at[r.Told] = r.Addr
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if to, ok := at[addr]; ok {
			addr = to
		}
		return usual(ctx, network, addr)
	}
}

// Balancer is one before the relays, which it asks so often whether they are ready.
func (w Ways) Balancer(every time.Duration) *Balancer {
	var nodes []Node
	for _, r := range w.Relays {
		nodes = append(nodes, Node{Addr: r.Addr, Health: func(ctx context.Context) error { return service.Ready(ctx, r.Admin) }})
	}
	return NewBalancer(nodes, every)
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// Dial takes a site's name to the relay that is asked for, and on to the next
// one where that does not answer, as browsers do with a name that has several
// addresses.
func (w Ways) Dial(relay id.Relay) dialFunc {
	usual := controlapi.LoopbackDialer()
	if len(w.Relays) == 0 {
		return usual
	}
	first := max(slices.IndexFunc(w.Relays, func(r Way) bool { return r.Name == relay }), 0)
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if _, port, err := net.SplitHostPort(addr); err != nil || port != w.Port {
			return usual(ctx, network, addr)
		}
		var errs []error
		for i := range w.Relays {
			c, err := usual(ctx, network, w.Relays[(first+i)%len(w.Relays)].Addr)
			if err == nil {
				return c, nil
			}
			errs = append(errs, err)
		}
		return nil, errors.Join(errs...)
	}
}

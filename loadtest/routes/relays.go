package routes

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"trunkline/internal/bus"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
	"trunkline/relay/route"
)

// sim is a relay as far as its routes go: what it says of its devices, it says by
// the relays' own announcer.
type sim struct {
	name     id.Relay
	bus      *bus.Bus
	announce *route.Announcer
	devices  []device
}

type device struct {
	id      id.Device
	site    id.Site
	account id.Account
}

// accounts are so many: a reseller has some hundred PBXs.
const perAccount = 500

func (s *scene) addSim(ctx context.Context, name id.Relay) (*sim, error) {
	b, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	table := route.NewTable(name, func(id.Device, bus.Route) {}, func(id.Site, id.Device) {})
	m := &sim{name: name, bus: b, announce: route.NewAnnouncer(b, table, s.Log)}
	s.sims = append(s.sims, m)
	return m, nil
}

// fill has each simulated relay announce its share.
func (s *scene) fill(ctx context.Context) error {
	accounts := make([]id.Account, s.Routes/perAccount+1)
	for i := range accounts {
		accounts[i] = id.NewAccount()
	}
	for i := range s.Relays {
		m, err := s.addSim(ctx, id.Relay(fmt.Sprintf("relay-%d", i+1)))
		if err != nil {
			return err
		}
		for n := i; n < s.Routes; n += s.Relays {
			m.take(device{id.NewDevice(), id.NewSite(), accounts[n/perAccount]}, n)
		}
	}
	return s.flush(ctx, s.sims)
}

// take is a tunnel that comes to this relay.
func (m *sim) take(d device, n int) {
	m.devices = append(m.devices, d)
	m.announce.Set(bus.Route{
		Relay: m.name, Device: d.id, Site: d.site, Account: d.account, Tunnel: id.NewTunnel(), Since: time.Now().UTC(),
		Portal: tunnel.Portal{Origin: "https://127.0.0.1:8088"}, Logins: tunnel.Logins{Account: true, Passwordless: true},
		Agent: "1.0.0", Remote: fmt.Sprintf("198.%d.%d.%d:40000", 18+n>>16&1, n>>8&255, n&255),
	})
}

// flush has all say what they have to, again where the bus was too busy to answer
// in time: that is what relays do.
func (s *scene) flush(ctx context.Context, sims []*sim) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, m := range sims {
		g.Go(func() error { return await(ctx, m.announce.Flush) })
	}
	return g.Wait()
}

// lose has the devices of the last relay come to the others, all at once, and waits
// until every watcher knows.
func (s *scene) lose(ctx context.Context) error {
	lost, left := s.sims[len(s.sims)-1], s.sims[:len(s.sims)-1]
	for i, d := range lost.devices {
		left[i%len(left)].take(d, i)
	}
	if err := s.flush(ctx, left); err != nil {
		return err
	}
	for _, w := range s.watchers {
		err := await(ctx, func(context.Context) error {
			for _, d := range lost.devices {
				if at, _ := w.table.Device(d.id); at.Relay == lost.name {
					return fmt.Errorf("%s is still said to be at %s", d.id, at.Relay)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

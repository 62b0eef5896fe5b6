package fleet

import (
	"context"

	"trunkline/internal/bus"
	"trunkline/internal/id"
)

// visitPlace is where a visit leads: to a device, or (Device is "") to whichever
// of the site's serves.
type visitPlace struct {
	device id.Device
	site   id.Site
}

// noting is a transaction that notes whose visits begin, open or end in it.
type noting struct {
	Tx
	places map[visitPlace]struct{}
}

func (n *noting) AddVisit(v Visit, handover string) error {
	n.note(v)
	return n.Tx.AddVisit(v, handover)
}

func (n *noting) UpdateVisit(v Visit) error {
	n.note(v)
	return n.Tx.UpdateVisit(v)
}

func (n *noting) note(v Visit) {
	if n.places == nil {
		n.places = make(map[visitPlace]struct{})
	}
	n.places[visitPlace{v.Device, v.Site}] = struct{}{}
}

// visitsChanged shows them anew, here and at the other control nodes: once for
// each place, however many visits to it.
func (f *Fleet) visitsChanged(places map[visitPlace]struct{}) {
	for at := range places {
		f.visitChanged(at)
		f.announce(bus.DeviceNotice{Device: at.device, Site: at.site, Visit: true})
	}
}

func (f *Fleet) visitChanged(at visitPlace) {
	if f.watchers.any(forVisits) {
		f.presence.visit(at)
	}
}

// visit has the watchers told, with what else there is to tell.
func (p *presence) visit(at visitPlace) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.visited[at] = struct{}{}
	p.wakeUp()
}

func (p *presence) takeVisits() []visitPlace {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]visitPlace, 0, min(len(p.visited), flushBatch))
	for at := range p.visited {
		if len(out) == flushBatch {
			p.wakeUp()
			break
		}
		delete(p.visited, at)
		out = append(out, at)
	}
	return out
}

// tellVisits tells of visits that began, were opened or ended. A place that could
// not be looked up is let go: pages look again by themselves.
func (f *Fleet) tellVisits(ctx context.Context) error {
	places := f.presence.takeVisits()
	if len(places) == 0 || !f.watchers.any(forVisits) {
		return nil
	}
	var ds []Device
	err := f.view(ctx, "read visited devices", func(tx Tx) (err error) {
		ds, err = placesDevices(tx, places)
		return err
	})
	for _, d := range ds {
		f.watchers.send(DeviceEvent{Device: d, Visit: true}, lineage{})
	}
	return err
}

// placesDevices are those that visits lead to, both of a pair.
func placesDevices(tx Tx, places []visitPlace) ([]Device, error) {
	var out []Device
	var ids []id.Device
	for _, at := range places {
		if at.device != "" {
			ids = append(ids, at.device)
			continue
		}
		pair, err := tx.SiteDevices(at.site)
		if err != nil {
			return nil, err
		}
		out = append(out, pair...)
	}
	ds, err := tx.DevicesByID(ids)
	return append(out, ds...), err
}

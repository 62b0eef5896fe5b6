package fleet

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
)

const (
	flushEvery = 200 * time.Millisecond // at most; a burst of changes of one device is one
	flushBatch = 500                    // devices in a transaction: the writer is shared
)

// touch has the watchers told of a device that changed otherwise.
func (p *presence) touch(d id.Device) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dirty[d] = true
	p.wakeUp()
}

// forget is for a device that was removed.
func (p *presence) forget(d Device) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.devices[d.ID]; e != nil {
		p.gauge.WithLabelValues(string(e.shown.Status)).Dec()
		delete(p.devices, d.ID)
	}
	delete(p.dirty, d.ID)
	p.removed[d.ID] = d
	p.wakeUp()
}

// overlay puts what the relays say over what the database has.
func (p *presence) overlay(ds ...*Device) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range ds {
		e := p.devices[d.ID]
		if e != nil {
			d.Presence = e.shown
		}
		d.Presence.Unknown = p.unknownLocked(d.Presence.Status, e)
	}
}

// unwritten is what is to be written of a device, and told.
type unwritten struct {
	Presence
	touched bool
}

// take empties a batch of the dirty set. A device without a route, which was
// only touched, comes with a zero presence.
func (p *presence) take() (batch map[id.Device]unwritten, removed []Device) {
	p.mu.Lock()
	defer p.mu.Unlock()
	batch = make(map[id.Device]unwritten, min(len(p.dirty), flushBatch))
	for d, touched := range p.dirty {
		if len(batch) == flushBatch {
			p.wakeUp()
			break
		}
		delete(p.dirty, d)
		x := unwritten{touched: touched}
		if e := p.devices[d]; e != nil {
			x.Presence = e.shown
		}
		batch[d] = x
	}
	for _, d := range p.removed {
		removed = append(removed, d)
	}
	clear(p.removed)
	return batch, removed
}

// putBack is for a batch that could not be written.
func (p *presence) putBack(batch map[id.Device]unwritten) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for d, x := range batch {
		p.dirty[d] = p.dirty[d] || x.touched
	}
	p.wakeUp()
}

// flush writes one batch of changes and tells the watchers. Devices that are
// not in the database, because they were removed, are let go.
func (f *Fleet) flush(ctx context.Context) error {
	f.flushing.Lock()
	defer f.flushing.Unlock()
	batch, removed := f.presence.take()
	f.tellRemoved(ctx, removed)
	if err := f.save(ctx, batch); err != nil {
		return err
	}
	return f.tellVisits(ctx)
}

// save writes a batch, and tells of it.
func (f *Fleet) save(ctx context.Context, batch map[id.Device]unwritten) error {
	if len(batch) == 0 {
		return nil
	}
	ids := make([]id.Device, 0, len(batch))
	var strangers []id.Device
	written := 0
	err := f.tx(ctx, "write presence", func(tx Tx) error {
		written, ids, strangers = 0, ids[:0], nil
		for d, p := range batch {
			ids = append(ids, d)
			if p.Status == "" {
				continue
			}
			if err := tx.SavePresence(d, p.Presence); errors.Is(err, ErrNoRow) {
				if p.Status == StatusConnected {
					strangers = append(strangers, d)
				}
				continue
			} else if err != nil {
				return err
			}
			if err := tx.AddDeviceEvent(d, changeOf(p.Presence), maxEvents); err != nil {
				return err
			}
			written++
		}
		return nil
	})
	if err != nil {
		f.presence.putBack(batch)
		return err
	}
	f.metrics.presenceWrites.Add(float64(written))
	for _, d := range strangers {
		f.disown(ctx, d)
	}
	return f.tell(ctx, ids, batch)
}

// disown ends the tunnel of a device that a relay admits and the database does
// not have, as after a restored backup that is older. Its next pass would be
// refused; this has it, and its visits, end now.
func (f *Fleet) disown(ctx context.Context, d id.Device) {
	f.log.Info("a device that is not in the database is connected: ending its tunnel", zap.String("device", string(d)))
	f.revoked(ctx, deviceKey(d), revocationOf(fault.DeviceRemoved, f.clock().UTC().Truncate(time.Second).Add(token.Leeway)))
}

// tell sends the devices, as they are now, to those who watch their account, or
// watch it from above.
func (f *Fleet) tell(ctx context.Context, ids []id.Device, batch map[id.Device]unwritten) error {
	if f.watchers.none() {
		return nil
	}
	var ds []Device
	var over map[id.Account]lineage
	err := f.view(ctx, "read changed devices", func(tx Tx) (err error) {
		if ds, err = tx.DevicesByID(ids); err != nil {
			return err
		}
		over, err = f.lineages(tx, ds)
		return err
	})
	if err != nil {
		return err
	}
	for _, d := range ds {
		f.presence.overlay(&d)
		f.watchers.send(DeviceEvent{Device: d, Edited: batch[d.ID].touched}, over[d.Account])
	}
	return nil
}

// tellRemoved asks the database only if somebody watches from above, and does
// without if it does not answer: their pages look again by themselves.
func (f *Fleet) tellRemoved(ctx context.Context, removed []Device) {
	var over map[id.Account]lineage
	if len(removed) > 0 && f.watchers.any(forBelow) {
		err := f.view(ctx, "read accounts of removed devices", func(tx Tx) (err error) {
			over, err = f.lineages(tx, removed)
			return err
		})
		if err != nil {
			f.complain(ctx, "tell the accounts above of removed devices", err)
		}
	}
	for _, d := range removed {
		f.watchers.send(DeviceEvent{Device: d, Removed: true}, over[d.Account])
	}
}

// pending is how many devices wait to be written.
func (p *presence) pending() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.dirty)
}

// singles are those of ds that are connected and say nothing of a pair.
func (p *presence) singles(ds []id.Device) []id.Device {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(ds, func(d id.Device) bool {
		e := p.devices[d]
		return e == nil || e.route.Down != "" || e.route.Standby != nil
	})
}

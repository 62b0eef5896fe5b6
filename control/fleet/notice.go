package fleet

import (
	"trunkline/internal/bus"
	"trunkline/internal/id"
)

// Several control nodes serve one fleet. What one decides is in the database
// for all; a notice has the others' open pages show it without delay.

// changed shows a device anew, here and at the other control nodes.
func (f *Fleet) changed(d id.Device) {
	f.presence.touch(d)
	f.announce(bus.DeviceNotice{Device: d})
}

// gone takes a removed device off the screens, here and there.
func (f *Fleet) gone(d Device) {
	f.presence.forget(d)
	f.announce(bus.DeviceNotice{Device: d.ID, Removed: true, Account: d.Account, Group: d.Group, Site: d.Site})
}

func (f *Fleet) announce(n bus.DeviceNotice) {
	if f.opts.Announce != nil {
		n.From = f.node
		f.opts.Announce(n)
	}
}

// Heard takes another control node's notice.
func (f *Fleet) Heard(n bus.DeviceNotice) {
	switch {
	case n.From == f.node:
	case n.Visit:
		f.visitChanged(visitPlace{n.Device, n.Site})
	case n.Removed:
		f.presence.forget(Device{ID: n.Device, Account: n.Account, Group: n.Group, Site: n.Site})
	default:
		f.presence.touch(n.Device)
	}
}

package fleet

import (
	"context"
	"strings"

	"trunkline/internal/id"
)

// What happens to a device beside its status, in its timeline.
const (
	EventActivated   = "activated"
	EventKeyReplaced = "key_replaced"
)

// maxEvents is how many entries of one device are kept.
const maxEvents = 500

// DeviceEvents is a device's timeline, newest first.
func (f *Fleet) DeviceEvents(ctx context.Context, p Principal, device id.Device, cursor string, limit int) (Page[StatusChange], error) {
	if err := p.check(); err != nil {
		return Page[StatusChange]{}, err
	}
	var page Page[StatusChange]
	err := f.view(ctx, "read timeline", func(tx Tx) error {
		if _, _, err := reachable(p, tx, device); err != nil {
			return err
		}
		var err error
		page, err = tx.DeviceEvents(device, cursor, pageLimit(limit))
		return err
	})
	return page, err
}

// changeOf is the timeline's entry of a presence.
func changeOf(p Presence) StatusChange {
	c := StatusChange{At: p.Since, Kind: string(p.Status), Reason: p.Reason}
	if p.Status == StatusConnected {
		var parts []string
		if p.Relay != "" {
			parts = append(parts, "relay "+string(p.Relay))
		}
		if p.Remote != "" {
			parts = append(parts, "from "+p.Remote)
		}
		c.Detail = strings.Join(parts, ", ")
	}
	return c
}

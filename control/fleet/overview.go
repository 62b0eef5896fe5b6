package fleet

import (
	"context"
	"time"

	"trunkline/internal/id"
)

const (
	sampleEvery = 15 * time.Minute
	samplesKept = 48 * time.Hour
	samplesLast = 24 * time.Hour // shown
)

// Overview is the account's numbers.
func (f *Fleet) Overview(ctx context.Context, p Principal) (Overview, error) {
	if err := p.check(); err != nil {
		return Overview{}, err
	}
	if err := f.flush(ctx); err != nil {
		f.complain(ctx, "write presence before an overview", err)
	}
	now := f.clock()
	o := Overview{Unknown: f.presence.blindSince()}
	err := f.view(ctx, "overview", func(tx Tx) (err error) {
		if o.Subscription, err = f.subscription(tx, p.Account, now); err != nil {
			return err
		}
		if o.Devices, err = tx.DeviceCounts(p.Account); err != nil {
			return err
		}
		if o.OverCapacity, o.Alarms, err = tx.SiteTroubles(p.Account); err != nil {
			return err
		}
		if o.Visits, err = tx.CountLiveVisits(p.Account); err != nil {
			return err
		}
		o.Samples, err = tx.Samples(p.Account, now.Add(-samplesLast))
		return err
	})
	return o, err
}

// sample keeps every account's numbers. Several control nodes do it, at the
// same full quarters of an hour, and the first one's numbers stay.
func (f *Fleet) sample(ctx context.Context) error {
	if !f.presence.blindSince().IsZero() {
		return nil // a gap is true
	}
	now := f.clock()
	at := now.Truncate(sampleEvery)
	return f.tx(ctx, "sample", func(tx Tx) error {
		if err := tx.DropSamplesBefore(now.Add(-samplesKept)); err != nil {
			return err
		}
		return tx.AddSamples(at)
	})
}

// FleetCounts are the installation's numbers.
type FleetCounts struct {
	NeverConnected int // devices
	Pairs          int
	Alarms         int // pairs with one
	OverCapacity   int // sites
	Visits         int // that go on
}

// countFleet keeps the metrics right.
func (f *Fleet) countFleet(ctx context.Context) error {
	var c FleetCounts
	err := f.view(ctx, "count the fleet", func(tx Tx) (err error) {
		c, err = tx.FleetCounts()
		return err
	})
	if err == nil {
		f.metrics.fleet(c)
	}
	return err
}

// statsTx is what a store counts.
type statsTx interface {
	// DeviceCounts counts the account's own devices by status.
	DeviceCounts(account id.Account) (map[Status]int, error)
	// CountDevices counts those of one status, and no further than atMost.
	CountDevices(account id.Account, s Status, atMost int) (int, error)
	// SiteTroubles counts the sites without a connection, and the pairs with an alarm.
	SiteTroubles(account id.Account) (overCapacity, alarms int, err error)
	CountLiveVisits(account id.Account) (int, error)
	// FleetCounts counts over all accounts.
	FleetCounts() (FleetCounts, error)
	Samples(account id.Account, since time.Time) ([]Sample, error)
	// AddSamples keeps the present numbers of every account that has devices,
	// as those of at, unless there are some of at already.
	AddSamples(at time.Time) error
	DropSamplesBefore(t time.Time) error
}

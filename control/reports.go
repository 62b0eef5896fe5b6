package control

import (
	"context"
	"fmt"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/trace"
)

// takeReports serves what relays report of visits, each in its own name: whose it is
// says the subject, which the bus lets no other relay ask, and not the report.
//
// Relays of the version before report where every relay may, in whatever name: those
// are heard for one more release. A relay whose lease says ownName is not taken for
// one of them.
func takeReports(b *bus.Bus, take func(context.Context, bus.VisitEvent) error, ownName func(id.Relay) bool) (stop func(), err error) {
	stopOwn, err := bus.HandleAs(b, bus.SubjectVisitEvent, func(ctx context.Context, r id.Relay, e bus.VisitEvent) (struct{}, error) {
		e.Relay = r
		return struct{}{}, take(ctx, e)
	})
	if err != nil {
		return nil, fmt.Errorf("serve visit events: %w", err)
	}
	stopOld, err := bus.Handle(b, bus.SubjectVisitEvent, func(ctx context.Context, e bus.VisitEvent) (struct{}, error) {
		if ownName(e.Relay) {
			return struct{}{}, fault.New(fault.Forbidden, "Relay %s reports in its own name and not here.", e.Relay)
		}
		return struct{}{}, take(ctx, e)
	})
	if err != nil {
		stopOwn()
		return nil, fmt.Errorf("serve visit events of older relays: %w", err)
	}
	return func() { stopOld(); stopOwn() }, nil
}

// visitEvent records one report.
func (l *life) visitEvent(ctx context.Context, e bus.VisitEvent) error {
	span := l.c.traces.Continue(e.Trace, "record visit", trace.Server, time.Now())
	err := l.fleet.VisitEvent(ctx, e)
	span.Set(trace.Event, e.Kind)
	span.End(err)
	return err
}

// reportsInOwnName says whether a relay that lives never uses the old subject while
// this control is there.
func (l *life) reportsInOwnName(r id.Relay) bool {
	lease, lives := l.relays.Lease(r)
	return lives && lease.OwnName
}

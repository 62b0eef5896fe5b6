package fleet

import (
	"context"
	"errors"
	"strconv"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/token"
)

// Kinds of bus.VisitEvent.
const (
	visitOpened          = "opened"
	visitEnded           = "ended"
	visitHandoverRefused = "handover_refused"
	visitTraffic         = "traffic" // what it counted at a relay that ends; it goes on elsewhere
)

// unopenedAfter is when a visit that nobody has opened cannot be any more;
// the leeway is for a relay's report that is on its way.
const unopenedAfter = token.HandoverTTL + token.Leeway

// VisitEvent takes a relay's report. The same report again changes nothing.
func (f *Fleet) VisitEvent(ctx context.Context, e bus.VisitEvent) error {
	switch e.Kind {
	case visitOpened, visitEnded, visitHandoverRefused, visitTraffic:
	default:
		return fault.New(fault.Invalid, "Kind %q is none of a visit's events.", e.Kind).In("kind")
	}
	var r *bus.Revocation
	err := f.tx(ctx, "visit event", func(tx Tx) error {
		r = nil
		v, err := tx.Visit(e.Visit)
		if errors.Is(err, ErrNoRow) {
			return fault.New(fault.NotFound, "There is no visit %s.", e.Visit)
		}
		if err != nil {
			return err
		}
		entry := AuditEntry{
			At: f.eventTime(e.At, v.Started), Account: v.Account, Actor: v.Who, Remote: e.Remote,
			Object: describeVisit(v), Outcome: outcomeOK, Detail: "relay " + string(e.Relay),
		}
		switch e.Kind {
		case visitOpened:
			return visitWasOpened(tx, v, e, entry)
		case visitTraffic:
			return countTraffic(tx, e)
		case visitEnded:
			if err := visitHasEnded(tx, v, e, entry); err != nil {
				return err
			}
			r, err = f.revokedBySomebody(tx, v, e.Code)
			return err
		default:
			entry.Action, entry.Outcome = ActionVisitOpen, string(e.Code)
			return tx.AddAuditOnce("visit_refused:"+string(v.ID)+":"+string(e.Code), entry)
		}
	})
	if err == nil && r != nil {
		f.revoked(ctx, visitKey(e.Visit), *r)
	}
	return err
}

// revokedBySomebody makes the wish of the PBX's staff, or of the visitor, that a visit
// ends hold everywhere: the relay that reports it may not be the only one that serves it.
func (f *Fleet) revokedBySomebody(tx Tx, v Visit, code fault.Code) (*bus.Revocation, error) {
	now := f.clock()
	if code != fault.EndedByPBX && code != fault.EndedByVisitor || now.After(v.Expires) {
		return nil, nil
	}
	if !v.Ended.IsZero() && v.EndCode == code {
		return nil, nil // of another relay, by the revocation of the first
	}
	r := &bus.Revocation{Code: code, At: now, Until: v.Expires}
	return r, tx.PutRevocation(visitKey(v.ID), *r)
}

// eventTime mistrusts a relay's clock where it contradicts ours.
func (f *Fleet) eventTime(at, started time.Time) time.Time {
	now := f.clock()
	if at.Before(started) || at.After(now) {
		return now
	}
	return at.UTC()
}

func visitWasOpened(tx Tx, v Visit, e bus.VisitEvent, entry AuditEntry) error {
	if !v.Opened.IsZero() {
		return nil
	}
	v.Opened, v.Remote = entry.At, e.Remote
	if v.EndCode == fault.HandoverInvalid {
		// Swept as never opened, before this late report came in.
		v.Ended, v.EndCode = time.Time{}, ""
	}
	if err := tx.UpdateVisit(v); err != nil {
		return err
	}
	entry.Action = ActionVisitOpen
	return tx.AddAuditOnce("visit_open:"+string(v.ID), entry)
}

// countTraffic adds up what a visit sent and got in each of its times at each relay. A
// report that comes again, or late, changes nothing.
func countTraffic(tx Tx, e bus.VisitEvent) error {
	at := string(e.Relay)
	if !e.Since.IsZero() { // a relay of before does not say it
		at += "@" + strconv.FormatInt(e.Since.UnixMicro(), 36)
	}
	return tx.CountTraffic(e.Visit, at, e.BytesIn, e.BytesOut, e.Requests)
}

func visitHasEnded(tx Tx, v Visit, e bus.VisitEvent, entry AuditEntry) error {
	if err := countTraffic(tx, e); err != nil {
		return err
	}
	if !v.Ended.IsZero() {
		return nil
	}
	v.Ended, v.EndCode = entry.At, e.Code
	if v.EndCode == "" {
		v.EndCode = fault.VisitEnded
	}
	if err := tx.UpdateVisit(v); err != nil {
		return err
	}
	entry.Action, entry.Detail = ActionVisitEnd, entry.Detail+": "+string(v.EndCode)
	if v.EndCode == fault.EndedByPBX {
		entry.Actor = "staff of PBX " + v.DeviceName
	}
	return tx.AddAuditOnce("visit_end:"+string(v.ID), entry)
}

const sweepBatch = 200

// sweep drops what has passed: sessions, revocations, and visits that are on
// record as running though nobody can be in them. more: call again.
func (f *Fleet) sweep(ctx context.Context) (more bool, err error) {
	now := f.clock()
	err = f.tx(ctx, "sweep", func(tx Tx) error {
		more = false
		if _, err := tx.DropSessionsBefore(now); err != nil {
			return err
		}
		if _, err := tx.DropRevocationsBefore(now); err != nil {
			return err
		}
		if _, err := tx.DropTokensBefore(now.Add(-tokenKept)); err != nil {
			return err
		}
		n, err := tx.DropAnswersBefore(now.Add(-AnswersKept), answersSwept)
		if err != nil {
			return err
		}
		more = n == answersSwept
		if keep := f.opts.AuditKeep(); keep > 0 {
			n, err := tx.DropAuditBefore(now.Add(-keep), sweepBatch)
			if err != nil {
				return err
			}
			more = more || n == sweepBatch
		}
		vs, err := tx.OverdueVisits(now, now.Add(-unopenedAfter), sweepBatch)
		if err != nil {
			return err
		}
		more = more || len(vs) == sweepBatch
		for _, v := range vs {
			if err := endOverdue(tx, v, now); err != nil {
				return err
			}
		}
		return nil
	})
	return more && err == nil, err
}

func endOverdue(tx Tx, v Visit, now time.Time) error {
	v.Ended, v.EndCode = v.Expires, fault.VisitExpired
	if v.Opened.IsZero() {
		v.Ended, v.EndCode = v.Started.Add(token.HandoverTTL), fault.HandoverInvalid
	}
	if err := tx.UpdateVisit(v); err != nil {
		return err
	}
	return tx.AddAuditOnce("visit_end:"+string(v.ID), AuditEntry{
		At: now, Account: v.Account, Actor: v.Who, Action: ActionVisitEnd, Object: describeVisit(v), Outcome: outcomeOK, Detail: string(v.EndCode) + ": " + fault.Ending(v.EndCode),
	})
}

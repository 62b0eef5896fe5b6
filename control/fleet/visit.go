package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
	"trunkline/internal/trace"
)

// StartVisit lets p into the portal of a PBX: it grants a visit and gives the
// one-time secret that opens it on the site's own origin.
//
// Only devices of p's own account can be visited.
func (f *Fleet) StartVisit(ctx context.Context, p Principal, r VisitRequest) (VisitStart, error) {
	span := f.opts.Traces.Begin("start visit", trace.Server)
	s, err := f.startVisit(ctx, p, r, span)
	span.Set(trace.Visit, string(s.Visit.ID))
	span.Set(trace.Site, string(s.Visit.Site))
	span.Set(trace.Device, string(s.Visit.Device))
	span.Set(trace.Method, s.Visit.Method)
	span.End(err)
	return s, err
}

func (f *Fleet) startVisit(ctx context.Context, p Principal, r VisitRequest, span *trace.Span) (VisitStart, error) {
	if err := p.check(); err != nil {
		return VisitStart{}, err
	}
	if r.Method == "" {
		r.Method = token.MethodAccount
	}
	if (r.Device == "") == (r.Site == "") {
		return VisitStart{}, fault.New(fault.Invalid, "Name a device or a site.").In("device")
	}
	now := f.clock()
	secret, hash := token.NewHandover()
	var v Visit
	err := f.decide(ctx, p.entry(now, ActionVisitStart, "PBX "+string(r.Device)), func(tx Tx, e *AuditEntry) error {
		d, err := ownedBy(p, tx, func(tx Tx) (Device, error) {
			if r.Site != "" {
				return tx.DeviceBySite(r.Site)
			}
			return tx.Device(r.Device)
		})
		if err != nil {
			return err
		}
		f.presence.overlay(&d)
		e.Object = describe(d)
		if err := mayVisit(p.Access.On(d.Group), r.Method); err != nil {
			return err
		}
		l, err := f.license(tx, now)
		if err != nil {
			return err
		}
		if err := inForce(l, now); err != nil {
			return err
		}
		if d.OverCapacity {
			return fault.New(fault.OverCapacity, "This PBX is over capacity: all connections are in use, so it stays connected and cannot be visited. Remove a PBX that is not needed, or have the subscription extended.")
		}
		if err := connected(d); err != nil {
			return err
		}
		if err := bothAgree(d, r.Method); err != nil {
			return err
		}
		v = Visit{DeviceName: d.Name, Visit: token.Visit{
			ID: id.NewVisit(), Site: d.Site, Device: d.ID, Account: d.Account, User: p.User, Who: p.who(),
			Method: r.Method, Idle: idleOf(d, r.Method), Started: now, Expires: now.Add(token.VisitLife), Seen: now,
			Trace: span.Parent(),
		}}
		if r.Site != "" && d.Mark != "" {
			if err := mayFollow(tx, p, v); err != nil {
				return err
			}
			v.Device = "" // it follows the pair's active one
		}
		e.Detail = string(v.ID) + " " + v.Method
		return tx.AddVisit(v, hash)
	})
	if err != nil {
		return VisitStart{}, err
	}
	h := bus.Handover{Visit: v.Visit, Expires: now.Add(token.HandoverTTL)}
	put := f.opts.Traces.Continue(span.Parent(), "publish handover", trace.Client, time.Now())
	err = f.opts.PutHandover(ctx, hash, h)
	put.End(err)
	if err != nil {
		f.log.Error("handover not published", zap.String("visit", string(v.ID)), zap.Error(err))
		return VisitStart{}, f.visitFailed(ctx, p, v)
	}
	url := fmt.Sprintf("https://%s.%s%s/.trunkline/visit", v.Site, f.opts.Zone, f.opts.Port)
	return VisitStart{Visit: v.Visit, URL: url, Handover: secret}, nil
}

// mayFollow: the roles of a pair may swap during a visit, so what lets one in
// must hold for both of its PBXs.
func mayFollow(tx Tx, p Principal, v Visit) error {
	ds, err := tx.SiteDevices(v.Site)
	if err != nil {
		return err
	}
	for _, d := range ds {
		if !v.entitled(p.Access, d) {
			return fault.New(fault.Forbidden, "You may not visit the other PBX of this pair in this way, and it may take over. Visit one PBX by itself, or have the rights and the options of both made the same.").In("method")
		}
	}
	return nil
}

func mayVisit(may Rights, method string) error {
	switch {
	case method == token.MethodAccount && !may.Has(VisitAccount):
		return fault.New(fault.Forbidden, "Your role may not visit a PBX. Ask an owner or an admin for another role.")
	case method == token.MethodPasswordless && !may.Has(VisitPasswordless):
		return fault.New(fault.Forbidden, "Your role may not visit a PBX without a password. Use the account login, or ask an owner or an admin for the right.").In("method")
	case method != token.MethodAccount && method != token.MethodPasswordless:
		return fault.New(fault.Invalid, "The method is %s or %s.", token.MethodAccount, token.MethodPasswordless).In("method")
	}
	return nil
}

func connected(d Device) error {
	switch p := d.Presence; p.Status {
	case StatusConnected:
		return nil
	case StatusDisconnected:
		return fault.New(fault.NotConnected, "The PBX has not been connected since %s. %s", p.Since.UTC().Format("2006-01-02 15:04:05 UTC"), fault.Reason(p.Reason))
	case StatusNotActivated:
		return fault.New(fault.NotConnected, "The PBX has not been activated yet. Type its authentication code on its Remote Management page.")
	default:
		return fault.New(fault.NotConnected, "The PBX was activated but has never connected. Check that its agent runs and can reach a relay.")
	}
}

// who is for the PBX's own log.
func (p Principal) who() string {
	if p.Name == "" {
		return p.Email
	}
	return p.Name + " <" + p.Email + ">"
}

// visitFailed takes back a visit that cannot be opened.
func (f *Fleet) visitFailed(ctx context.Context, p Principal, v Visit) error {
	v.Ended, v.EndCode = f.clock(), fault.Unavailable
	e := p.entry(v.Ended, ActionVisitEnd, "visit "+string(v.ID)+" to "+v.DeviceName)
	refusal := fault.New(fault.Unavailable, "The relays cannot be told of the visit at the moment. Try again shortly.").After(busTimeout)
	return f.decide(context.WithoutCancel(ctx), e, func(tx Tx, _ *AuditEntry) error {
		if err := tx.UpdateVisit(v); err != nil {
			return err
		}
		return refusal // recorded together with the update, by design
	})
}

// EndVisit ends a visit at once, everywhere. One may end one's own; owners
// and admins those of others.
func (f *Fleet) EndVisit(ctx context.Context, p Principal, visit id.Visit) error {
	if err := p.check(); err != nil {
		return err
	}
	now := f.clock()
	var r *bus.Revocation
	err := f.decide(ctx, p.entry(now, ActionVisitEnd, "visit "+string(visit)), func(tx Tx, e *AuditEntry) error {
		r = nil
		v, err := tx.Visit(visit)
		if errors.Is(err, ErrNoRow) || err == nil && v.Account != p.Account {
			return fault.New(fault.NotFound, "There is no such visit in your account.")
		}
		if err != nil {
			return err
		}
		if seen, err := seesVisit(tx, p, v); err != nil {
			return err
		} else if !seen {
			return fault.New(fault.NotFound, "There is no such visit in your account.")
		}
		e.Object = describeVisit(v)
		if v.User != p.User && !p.Role.mayEndOthers() {
			return fault.New(fault.Forbidden, "Your role may not end other people's visits.")
		}
		if now.After(v.Expires) {
			return nil // over anyhow
		}
		// Also if it is on record as ended: a relay that reported the end may
		// not be the only one that serves it.
		r = &bus.Revocation{Code: fault.EndedByStaff, At: now, Until: v.Expires}
		if err := tx.PutRevocation(visitKey(visit), *r); err != nil {
			return err
		}
		if !v.Ended.IsZero() {
			return nil
		}
		v.Ended, v.EndCode, e.Detail = now, fault.EndedByStaff, string(fault.EndedByStaff)
		return tx.UpdateVisit(v)
	})
	if err != nil {
		return err
	}
	if r != nil {
		f.revoked(ctx, visitKey(visit), *r)
	}
	return nil
}

// seesVisit: one's own, and those of PBXs that one may see. A PBX that was
// removed is in no group.
func seesVisit(tx Tx, p Principal, v Visit) (bool, error) {
	if v.User == p.User {
		return true, nil
	}
	read := func() (Device, error) { return tx.Device(v.Device) }
	if v.Device == "" {
		read = func() (Device, error) { return tx.DeviceBySite(v.Site) }
	}
	d, err := read()
	if noRow(err) {
		err = nil
	}
	return p.Access.On(d.Group).Has(See), err
}

// Visits lists the account's visits that p may see, newest first.
func (f *Fleet) Visits(ctx context.Context, p Principal, q VisitQuery) (Page[Visit], error) {
	if err := p.check(); err != nil {
		return Page[Visit]{}, err
	}
	q.Seen, q.Self = nil, p.User
	if seen := p.Access.Filter(See); !seen.Except || len(seen.Groups) > 0 {
		q.Seen = &seen
	}
	var page Page[Visit]
	err := f.view(ctx, "list visits", func(tx Tx) (err error) {
		q.Limit = pageLimit(q.Limit)
		page, err = tx.Visits(p.Account, q)
		return err
	})
	return page, err
}

func describeVisit(v Visit) string {
	return "visit " + string(v.ID) + " of " + v.Who + " to PBX " + v.DeviceName
}

package fleet

import (
	"context"
	"slices"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
)

// revocations are what the relays must be told once it is committed, by key.
type revocations map[string]bus.Revocation

// endVisits ends visits that are on, for the database and for the relays. Each
// has an entry of its own in its account's log: of who decided e, and the code. What
// has lapsed is ended for the relays alone.
func endVisits(tx Tx, vs []Visit, e AuditEntry, code fault.Code) (revocations, error) {
	out := make(revocations, len(vs))
	for _, v := range vs {
		out[visitKey(v.ID)] = bus.Revocation{Code: code, At: e.At, Until: v.Expires}
		if !v.Ended.IsZero() {
			continue
		}
		v.Ended, v.EndCode = e.At, code
		if err := tx.UpdateVisit(v); err != nil {
			return nil, err
		}
		entry := e
		entry.Account, entry.Action, entry.Object, entry.Outcome = v.Account, ActionVisitEnd, describeVisit(v), outcomeOK
		entry.Detail = e.byToken(string(code))
		if err := tx.AddAuditOnce("visit_end:"+string(v.ID), entry); err != nil {
			return nil, err
		}
	}
	return out, out.put(tx)
}

func (rs revocations) put(tx Tx) error {
	for key, r := range rs {
		if err := tx.PutRevocation(key, r); err != nil {
			return err
		}
	}
	return nil
}

// endUnentitled ends those of the visits that their visitors' rights, or the
// PBXs' options, do not allow as they are now.
func endUnentitled(tx Tx, vs []Visit, e AuditEntry) (revocations, error) {
	may := make(map[id.User]Access)
	var out []Visit
	for _, v := range vs {
		a, known := may[v.User]
		if !known {
			u, err := tx.User(v.User)
			if err != nil && !noRow(err) {
				return nil, err
			}
			if a, err = accessOf(tx, u); err != nil { // of nobody: none
				return nil, err
			}
			may[v.User] = a
		}
		ds, err := visited(tx, v)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(ds, func(d Device) bool { return !v.entitled(a, d) }) {
			out = append(out, v)
		}
	}
	return endVisits(tx, out, e, fault.AccessWithdrawn)
}

// visited is where a visit may lead: a device, or, if it follows whichever
// serves, any of its site's. It is nothing if that was removed: the visit ended
// then.
func visited(tx Tx, v Visit) ([]Device, error) {
	if v.Device == "" {
		return tx.SiteDevices(v.Site)
	}
	d, err := tx.Device(v.Device)
	if noRow(err) {
		return nil, nil
	}
	return []Device{d}, err
}

// entitled reports whether who has a may be in d as v is.
func (v Visit) entitled(a Access, d Device) bool {
	if v.Method == token.MethodPasswordless {
		return d.Passwordless && a.On(d.Group).Has(See|VisitPasswordless)
	}
	return a.On(d.Group).Has(See | VisitAccount)
}

// accountsVisits are all that are on, and that have lapsed.
func accountsVisits(tx Tx, account id.Account, now time.Time) ([]Visit, error) {
	var out []Visit
	for q := (VisitQuery{Live: true, Limit: maxPage}); ; {
		page, err := tx.Visits(account, q)
		if err != nil {
			return nil, err
		}
		out = append(out, page.Items...)
		if q.Cursor = page.Next; q.Cursor == "" {
			return withLapsed(tx, out, account, now, func(Visit) bool { return true })
		}
	}
}

// withLapsed adds to visits that are on those of the account that a relay took for idle
// and that are not past their longest time: cut off from another relay it does not know
// that they go on there.
func withLapsed(tx Tx, on []Visit, account id.Account, now time.Time, which func(Visit) bool) ([]Visit, error) {
	lapsed, err := tx.LapsedVisits(account, now.Add(-token.VisitLife))
	if err != nil {
		return nil, err
	}
	return append(on, slices.DeleteFunc(lapsed, func(v Visit) bool { return !which(v) })...), nil
}

// visitsTo are those to d that are on, and that have lapsed.
func visitsTo(tx Tx, d Device, now time.Time) ([]Visit, error) {
	on, err := tx.LiveVisits(d.ID)
	if err != nil {
		return nil, err
	}
	return withLapsed(tx, on, d.Account, now, func(v Visit) bool { return v.Device == d.ID || v.Device == "" && v.Site == d.Site })
}

// visitsBy are those of u that are on, and that have lapsed.
func visitsBy(tx Tx, u User, now time.Time) ([]Visit, error) {
	on, err := tx.LiveVisitsOf(u.ID)
	if err != nil {
		return nil, err
	}
	return withLapsed(tx, on, u.Account, now, func(v Visit) bool { return v.User == u.ID })
}

// regrouped tells of what followed from devices that are in other groups now.
func (f *Fleet) regrouped(ctx context.Context, account id.Account, ended revocations) {
	f.settle(ctx, ended)
	f.watchers.dismiss(func(w *watcher) bool { return w.account == account && len(w.access.Groups) > 0 })
}

// settledAtOnce is how many revocations the one who asked waits for. More go
// out in the background.
const settledAtOnce = 200

// settle tells the relays of what was committed. Without a bus it waits for
// one of them, and not for each.
func (f *Fleet) settle(ctx context.Context, rs revocations) {
	if len(rs) > settledAtOnce {
		f.republishSoon()
		return
	}
	for key, r := range rs {
		if !f.revoked(ctx, key, r) {
			return
		}
	}
}

package fleet

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"trunkline/internal/fault"
)

// Actions in the audit.
const (
	ActionInit         = "init"
	ActionSignIn       = "sign_in"
	ActionSignOut      = "sign_out"
	ActionActivate     = "activate"
	ActionRenewPass    = "renew_pass"
	ActionDeviceRemove = "device_remove"
	ActionVisitStart   = "visit_start"
	ActionVisitOpen    = "visit_open"
	ActionVisitEnd     = "visit_end"

	ActionLicenceInstall = "licence_install"

	ActionDeviceAdd   = "device_add"
	ActionDeviceEdit  = "device_edit"
	ActionCodeIssue   = "code_issue"
	ActionCodeRevoke  = "code_revoke"
	ActionGroupAdd    = "group_add"
	ActionGroupEdit   = "group_edit"
	ActionGroupRemove = "group_remove"

	ActionPasswordChange   = "password_change"
	ActionUserInvite       = "user_invite"
	ActionUserReinvite     = "user_reinvite"
	ActionUserEdit         = "user_edit"
	ActionUserRemove       = "user_remove"
	ActionInvitationAccept = "invitation_accept"
	ActionRightsSet        = "rights_set"
	ActionResellerAdd      = "reseller_add"
	ActionResellerEdit     = "reseller_edit"
	ActionResellerRemove   = "reseller_remove"
	ActionTunnelsEdit      = "tunnels_edit"
	ActionTokenAdd         = "token_add"
	ActionTokenRevoke      = "token_revoke"
)

const (
	outcomeOK = "ok"
	// OutcomeRefused selects, in an AuditQuery, all that are not ok.
	OutcomeRefused = "refused"
)

// decide runs fn in one transaction, together with the audit entry of what it
// decided. If fn returns a fault, that is a decision too: its entry is
// committed, and so would be what fn had written before. So fn refuses first
// and writes afterwards. fn may fill in e, and may be run again.
func (f *Fleet) decide(ctx context.Context, e AuditEntry, fn func(tx Tx, e *AuditEntry) error) error {
	var refusal *fault.Error
	err := f.write(ctx, e.Action, func(tx Tx) error {
		refusal = nil
		entry := e
		entry.Outcome = outcomeOK
		if err := fn(tx, &entry); errors.As(err, &refusal) {
			entry.Outcome, entry.Detail = string(refusal.Code), refusal.Message
		} else if err != nil {
			return err
		}
		entry.Detail = entry.byToken(entry.Detail)
		return tx.AddAudit(entry)
	})
	if err == nil && refusal != nil {
		err = refusal
	}
	if err != nil {
		err = f.failed(e.Action, err)
	}
	f.metrics.decided(e.Action, err)
	return err
}

// byToken is a detail of e with the API token by which it was asked for, if it was.
func (e AuditEntry) byToken(detail string) string {
	if e.token == "" {
		return detail
	}
	return strings.TrimSpace(detail + " (by API token " + string(e.token) + ")")
}

// refuse records a refusal that was decided without a transaction and gives
// it back, or says that the database is away.
func (f *Fleet) refuse(ctx context.Context, e AuditEntry, refusal *fault.Error) error {
	return f.decide(ctx, e, func(Tx, *AuditEntry) error { return refusal })
}

// Audit lists decisions, newest first. Owners, admins and auditors may read it.
func (f *Fleet) Audit(ctx context.Context, p Principal, q AuditQuery) (Page[AuditEntry], error) {
	q.Limit = pageLimit(q.Limit)
	return f.audit(ctx, p, q)
}

// audit is Audit with pages of any size.
func (f *Fleet) audit(ctx context.Context, p Principal, q AuditQuery) (Page[AuditEntry], error) {
	if err := p.check(); err != nil {
		return Page[AuditEntry]{}, err
	}
	if !p.Role.mayAudit() {
		return Page[AuditEntry]{}, fault.New(fault.Forbidden, "Your role may not read the audit log. Ask an owner, an admin or an auditor.")
	}
	q.Search = strings.TrimSpace(q.Search)
	for field, typed := range map[string]string{"search": q.Search, "actor": q.Actor, "action": q.Action, "outcome": q.Outcome} {
		if err := searchable(field, typed); err != nil {
			return Page[AuditEntry]{}, err
		}
	}
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		return Page[AuditEntry]{}, fault.New(fault.Invalid, "The time ends before it begins.").In("to")
	}
	q.Actor = strings.ToLower(strings.TrimSpace(q.Actor))
	var page Page[AuditEntry]
	err := f.view(ctx, "list audit", func(tx Tx) error {
		root, err := tx.Root()
		if err != nil {
			return err
		}
		page, err = tx.Audit(p.Account, p.Account == root.ID, q)
		return err
	})
	return page, err
}

// view runs fn on a snapshot and makes its error one for the caller.
func (f *Fleet) view(ctx context.Context, op string, fn func(Tx) error) error {
	if err := f.read(ctx, op, fn); err != nil {
		return f.failed(op, err)
	}
	return nil
}

// tx is view for writing, without a decision to record.
func (f *Fleet) tx(ctx context.Context, op string, fn func(Tx) error) error {
	if err := f.write(ctx, op, fn); err != nil {
		return f.failed(op, err)
	}
	return nil
}

// read and write are where the store is asked, and measured. Errors are its own.
func (f *Fleet) read(ctx context.Context, op string, fn func(Tx) error) error {
	began := time.Now()
	err := f.store.View(ctx, fn)
	f.metrics.transacted(op, "read", began, err)
	return err
}

func (f *Fleet) write(ctx context.Context, op string, fn func(Tx) error) error {
	began := time.Now()
	var noted noting
	err := f.store.Tx(ctx, func(tx Tx) error {
		noted = noting{Tx: tx} // anew, if it is tried again
		return fn(&noted)
	})
	f.metrics.transacted(op, "write", began, err)
	if err == nil {
		f.visitsChanged(noted.places)
	}
	return err
}

const (
	defaultPage = 50
	maxPage     = 200
)

func pageLimit(n int) int {
	if n <= 0 {
		return defaultPage
	}
	return min(n, maxPage)
}

// entry begins an audit entry of what p asks.
func (p Principal) entry(now time.Time, action, object string) AuditEntry {
	return AuditEntry{At: now, Account: p.Account, Actor: p.Email, Remote: remoteText(p.Remote), Action: action, Object: object, token: p.Token}
}

func remoteText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().String()
}

func describe(d Device) string {
	if d.Serial == "" {
		return "PBX " + d.Name
	}
	return "PBX " + d.Name + " (" + string(d.Serial) + ")"
}

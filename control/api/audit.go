package api

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"

	"trunkline/control/fleet"
	"trunkline/internal/controlapi"
)

// auditFleet is the part of Fleet that tells what was decided.
type auditFleet interface {
	Audit(context.Context, fleet.Principal, fleet.AuditQuery) (fleet.Page[fleet.AuditEntry], error)
	EachAudit(ctx context.Context, p fleet.Principal, q fleet.AuditQuery, fn func(fleet.AuditEntry) error) error
}

func auditFilter(f controlapi.AuditFilter) fleet.AuditQuery {
	return fleet.AuditQuery{Search: f.Search, Action: f.Action, Actor: f.Actor, Outcome: f.Outcome, From: f.From, To: f.To}
}

func (a *api) audit(ctx context.Context, who fleet.Principal, q controlapi.AuditQuery) (controlapi.AuditPage, error) {
	f := auditFilter(q.AuditFilter)
	f.Cursor, f.Limit = q.Cursor, cmp.Or(q.Limit, defaultLimit)
	p, err := a.fleet.Audit(ctx, who, f)
	return page(p, auditEntry), err
}

// auditLines is the media type of JSON texts, one a line.
const auditLines = "application/jsonl"

func (a *api) exportAudit(x *exchange, r *http.Request, who fleet.Principal, q controlapi.AuditFilter) error {
	d := download{x: x, media: auditLines, name: "audit.jsonl"}
	err := a.fleet.EachAudit(r.Context(), who, auditFilter(q), func(e fleet.AuditEntry) error {
		b, err := json.Marshal(auditEntry(e))
		if err != nil {
			return err
		}
		_, err = d.Write(append(b, '\n'))
		return err
	})
	return d.end(err)
}

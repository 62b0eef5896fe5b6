package console

import (
	"net/http"
	"net/url"
	"strings"

	"trunkline/control/fleet"
)

// actions are the words for what fleet records. What is not listed shows as
// recorded.
var actions = map[string]string{
	fleet.ActionInit: "Set up the installation", fleet.ActionSignIn: "Sign in", fleet.ActionSignOut: "Sign out",
	fleet.ActionActivate: "Activate a PBX", fleet.ActionRenewPass: "Renew a pass", fleet.ActionDeviceRemove: "Remove a PBX",
	fleet.ActionVisitStart: "Start a visit", fleet.ActionVisitOpen: "Open a PBX", fleet.ActionVisitEnd: "End a visit",
}

type auditView struct {
	Search    string
	SearchBox searchBox
	Rows      []auditRow
	Pager     pager
}

type auditRow struct {
	fleet.AuditEntry
	What string
	OK   bool
}

func (c *console) auditPage(w *response, r *http.Request, p fleet.Principal) error {
	q, err := parseList(r)
	if err != nil {
		return err
	}
	got, err := c.o.Fleet.Audit(r.Context(), p, fleet.AuditQuery{Search: q.Search, Cursor: q.Cursor, Limit: pageSize})
	if err != nil {
		return err
	}
	v := auditView{
		Search:    q.Search,
		SearchBox: searchBox{Action: "/audit", Label: "Search the audit log", Placeholder: "Who, what, detail", Value: q.Search},
		Pager:     q.pager("/audit", url.Values{}, len(got.Items), got.Total, got.Next),
	}
	for _, e := range got.Items {
		row := auditRow{AuditEntry: e, What: actions[e.Action], OK: e.Outcome == "ok"}
		if row.What == "" {
			row.What = strings.ReplaceAll(e.Action, "_", " ")
		}
		v.Rows = append(v.Rows, row)
	}
	return c.show(w, r, p, http.StatusOK, "audit", page{Title: "Audit", Nav: "audit", Data: v})
}

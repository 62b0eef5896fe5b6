package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
)

// actions are the words for what fleet records, in the order in which they can
// be chosen. What is not listed shows as recorded.
var actions = []option{
	{Value: fleet.ActionSignIn, Text: "Sign in"}, {Value: fleet.ActionSignOut, Text: "Sign out"},
	{Value: fleet.ActionActivate, Text: "Activate a PBX"}, {Value: fleet.ActionRenewPass, Text: "Renew a pass"},
	{Value: fleet.ActionDeviceAdd, Text: "Add a device"}, {Value: fleet.ActionDeviceEdit, Text: "Edit a device"}, {Value: fleet.ActionDeviceRemove, Text: "Remove a PBX"},
	{Value: fleet.ActionCodeIssue, Text: "Issue a code"}, {Value: fleet.ActionCodeRevoke, Text: "Revoke a code"},
	{Value: fleet.ActionGroupAdd, Text: "Add a group"}, {Value: fleet.ActionGroupEdit, Text: "Rename a group"}, {Value: fleet.ActionGroupRemove, Text: "Remove a group"},
	{Value: fleet.ActionVisitStart, Text: "Start a visit"}, {Value: fleet.ActionVisitOpen, Text: "Open a PBX"}, {Value: fleet.ActionVisitEnd, Text: "End a visit"},
	{Value: fleet.ActionUserInvite, Text: "Invite a person"}, {Value: fleet.ActionUserReinvite, Text: "Invite a person again"}, {Value: fleet.ActionInvitationAccept, Text: "Accept an invitation"},
	{Value: fleet.ActionUserEdit, Text: "Edit a person"}, {Value: fleet.ActionUserRemove, Text: "Remove a person"}, {Value: fleet.ActionPasswordChange, Text: "Change a password"},
	{Value: fleet.ActionRightsSet, Text: "Set rights"}, {Value: fleet.ActionTokenAdd, Text: "Create an API token"}, {Value: fleet.ActionTokenRevoke, Text: "Revoke an API token"},
	{Value: fleet.ActionResellerAdd, Text: "Add a reseller"}, {Value: fleet.ActionResellerEdit, Text: "Edit a reseller"}, {Value: fleet.ActionResellerRemove, Text: "Remove a reseller"},
	{Value: fleet.ActionTunnelsEdit, Text: "Change where tunnels go"}, {Value: fleet.ActionLicenceInstall, Text: "Install a licence"}, {Value: fleet.ActionInit, Text: "Set up the installation"},
}

func actionText(action string) string {
	for _, a := range actions {
		if a.Value == action {
			return a.Text
		}
	}
	return strings.ReplaceAll(action, "_", " ")
}

type auditView struct {
	Search    string
	SearchBox searchBox
	Filter    []input
	Narrowed  bool
	Rows      []auditRow
	Pager     pager
	Export    string
}

type auditRow struct {
	fleet.AuditEntry
	What string
	OK   bool
}

// auditList is what the log's address says.
type auditList struct {
	listQuery
	fleet.AuditQuery
	from, to string // as typed
}

func parseAudit(r *http.Request) (auditList, error) {
	q, err := parseList(r)
	if err != nil {
		return auditList{}, err
	}
	v := r.URL.Query()
	a := auditList{listQuery: q, from: v.Get("from_day"), to: v.Get("to_day")}
	a.AuditQuery = fleet.AuditQuery{
		Search: q.Search, Cursor: q.Cursor, Limit: pageSize, Action: search(v.Get("action")), Actor: search(v.Get("actor")), Outcome: search(v.Get("outcome")),
	}
	if a.From, err = parseDay("from_day", a.from); err != nil {
		return a, err
	}
	if a.To, err = parseDay("to_day", a.to); err != nil {
		return a, err
	}
	if !a.To.IsZero() {
		a.To = a.To.Add(day) // the day itself is in
	}
	return a, nil
}

func parseDay(field, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, fault.New(fault.Invalid, "Enter a date such as 2026-11-25.").In(field)
	}
	return t, nil
}

func (a auditList) keep() url.Values {
	v := url.Values{}
	for k, x := range map[string]string{"action": a.Action, "actor": a.Actor, "outcome": a.Outcome, "from_day": a.from, "to_day": a.to} {
		if x != "" {
			v.Set(k, x)
		}
	}
	return v
}

func (a auditList) filter() []input {
	chosen := func(value string, all []option) []option {
		out := append([]option(nil), all...)
		for i := range out {
			out[i].Selected = out[i].Value == value
		}
		return out
	}
	return []input{
		{Name: "actor", Label: "Person", Kind: "text", Max: 100, Value: a.Actor, Autocomplete: "off"},
		{Name: "action", Label: "Action", Kind: "select", Options: chosen(a.Action, append([]option{{Text: "All"}}, actions...))},
		{Name: "outcome", Label: "Outcome", Kind: "select", Options: chosen(a.Outcome, outcomes(a.Outcome))},
		{Name: "from_day", Label: "From", Kind: "date", Value: a.from},
		{Name: "to_day", Label: "To", Kind: "date", Value: a.to},
	}
}

// outcomes are what can be chosen: done, refused, refused with one code. What
// is chosen is there, also if nobody knows it.
func outcomes(chosen string) []option {
	out := []option{{Text: "All"}, {Value: "ok", Text: "Done"}, {Value: fleet.OutcomeRefused, Text: "Refused"}}
	codes := fault.Codes()
	if c := fault.Code(chosen); chosen != "" && chosen != "ok" && chosen != fleet.OutcomeRefused && !slices.Contains(codes, c) {
		codes = append(codes, c)
	}
	slices.Sort(codes)
	for _, c := range codes {
		out = append(out, option{Value: string(c), Text: "Refused: " + plain(string(c))})
	}
	return out
}

func (c *console) auditPage(w *response, r *http.Request, p fleet.Principal) error {
	q, err := parseAudit(r)
	if err != nil {
		return err
	}
	got, err := c.o.Fleet.Audit(r.Context(), p, q.AuditQuery)
	if err != nil {
		return err
	}
	keep := q.keep()
	exported := q.keep()
	if q.listQuery.Search != "" {
		exported.Set("q", q.listQuery.Search)
	}
	v := auditView{
		Search: q.listQuery.Search, Narrowed: q.listQuery.Search != "" || len(keep) > 0, Filter: q.filter(),
		SearchBox: searchBox{Action: "/audit", Label: "Search the audit log", Placeholder: "Who, what, detail", Value: q.listQuery.Search},
		Pager:     q.pager("/audit", keep, len(got.Items), got.Total, got.Next).of(got.More),
		Export:    address("/audit/export", exported),
	}
	for _, e := range got.Items {
		v.Rows = append(v.Rows, auditRow{AuditEntry: e, What: actionText(e.Action), OK: e.Outcome == "ok"})
	}
	pg := page{Title: "Audit", Nav: "audit", Data: v}
	if q.listQuery.Cursor == "" && q.AuditQuery.Search == "" { // else nothing new is to come, or it costs more than it tells
		pg.Poll = slowPoll
	}
	return c.show(w, r, p, http.StatusOK, "audit", pg)
}

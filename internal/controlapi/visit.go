package controlapi

import (
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// VisitRequest asks for a visit to a site, wherever it is served, or to one
// device, whatever its role: exactly one of the two.
type VisitRequest struct {
	Device id.Device `json:"device,omitempty" doc:"This one, whatever its role in a pair."`
	Site   id.Site   `json:"site,omitempty" example:"-" doc:"The site; of a pair the active device serves it."`
	Method string    `json:"method,omitempty" enum:"account,passwordless" doc:"How the visitor is let into the portal; account if absent."`
}

// VisitQuery selects visits, newest first.
type VisitQuery struct {
	Live   bool      `query:"live,omitempty" doc:"Only those that are on."`
	Ended  bool      `query:"ended,omitempty" example:"-" doc:"Only those that are over; not with live."`
	Device id.Device `query:"device,omitempty"`
	User   id.User   `query:"user,omitempty"`
	PageQuery
}

// Ended is how many visits were ended.
type Ended struct {
	Ended int `json:"ended"`
}

// VisitStart is a granted visit. A browser opens it by POSTing Handover, as
// the form field of that name, to URL within 60 seconds.
type VisitStart struct {
	Visit    Visit  `json:"visit"`
	URL      string `json:"url"`
	Handover string `json:"handover" doc:"Secret, good once, for 60 seconds. POST it to url as form field 'handover'."`
}

// Visit is one person's access to one site, from the click to its end.
type Visit struct {
	ID          id.Visit   `json:"id"`
	Site        id.Site    `json:"site"`
	Device      id.Device  `json:"device,omitempty"`
	DeviceName  string     `json:"device_name,omitempty"`
	User        id.User    `json:"user"`
	Who         string     `json:"who" doc:"The person's name and e-mail."`
	Method      string     `json:"method" enum:"account,passwordless"`
	IdleSeconds int64      `json:"idle_seconds" doc:"The visit ends after this long without a request."`
	Started     time.Time  `json:"started"`
	Expires     time.Time  `json:"expires" doc:"The latest end."`
	Opened      time.Time  `json:"opened,omitzero" doc:"When a browser arrived; absent: not yet."`
	Ended       time.Time  `json:"ended,omitzero" doc:"Absent: still on."`
	EndCode     fault.Code `json:"end_code,omitempty" doc:"What ended it: visit_idle, visit_expired (its longest time), visit_ended_by_staff, visit_ended_by_visitor, visit_ended_by_pbx, access_withdrawn, device_removed, account_removed, restored_from_backup; visit_ended: it is not on record. Others are of visits that could not begin, as handover_invalid, or of newer relays."`
	Remote      string     `json:"remote,omitempty" doc:"The browser's address."`
	BytesIn     int64      `json:"bytes_in" doc:"From the browser."`
	BytesOut    int64      `json:"bytes_out" doc:"To the browser."`
	Requests    int64      `json:"requests"`
}

type VisitPage = Page[Visit]

// AuditEntry records a decision, a refusal too.
type AuditEntry struct {
	Seq     int64      `json:"seq"`
	At      time.Time  `json:"at"`
	Account id.Account `json:"account,omitempty"`
	Actor   string     `json:"actor,omitempty" doc:"An e-mail address, or 'device' and a serial number."`
	Remote  string     `json:"remote,omitempty"`
	Action  string     `json:"action"`
	Object  string     `json:"object,omitempty" doc:"What it was done to, in words."`
	Outcome string     `json:"outcome" doc:"'ok', or the code of the refusal."`
	Detail  string     `json:"detail,omitempty"`
}

// AuditFilter selects audit entries, newest first.
type AuditFilter struct {
	Search  string    `query:"search,omitempty" max:"100" doc:"In actor, object and detail, in any case."`
	Action  string    `query:"action,omitempty" max:"64"`
	Actor   string    `query:"actor,omitempty" max:"254" doc:"An e-mail address."`
	Outcome string    `query:"outcome,omitempty" max:"64" doc:"ok, refused, or the code of a refusal."`
	From    time.Time `query:"from,omitempty" example:"2026-01-01T00:00:00Z" doc:"At this time or after it."`
	To      time.Time `query:"to,omitempty" doc:"Before this time."`
}

// AuditQuery asks for a page of the audit.
type AuditQuery struct {
	AuditFilter
	PageQuery
}

type AuditPage = Page[AuditEntry]

package console

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// deviceView is a device as pages show it.
type deviceView struct {
	fleet.Device
	Address    string // host[:port] of its site
	Domain     string // the part of it that all sites share
	Status     string // for a person
	StatusKey  string // for the style sheet
	Reason     string
	Since      time.Time
	CanVisit   bool
	WhyNot     string // if it cannot be visited
	CanRemove  bool
	Barred     bool // by the person's role, not by the device's status
	Connected  bool
	NeverSeen  bool
	ReasonCode fault.Code
}

// Label is what the device is called: a name is not compulsory.
func (v deviceView) Label() string {
	if strings.TrimSpace(v.Name) == "" {
		return string(v.Serial)
	}
	return v.Name
}

func (c *console) deviceView(p fleet.Principal, d fleet.Device) deviceView {
	v := deviceView{
		Device: d, Address: string(d.Site) + "." + c.o.Zone + c.o.Port, Domain: "." + c.o.Zone + c.o.Port, Since: d.Presence.Since,
		Reason: fault.Reason(d.Presence.Reason), ReasonCode: d.Presence.Reason, CanRemove: offersRemove(p),
	}
	switch d.Presence.Status {
	case fleet.StatusConnected:
		v.Status, v.StatusKey, v.Connected, v.CanVisit = "Connected", "up", true, true
		v.Reason, v.ReasonCode = "", ""
	case fleet.StatusNever:
		v.Status, v.StatusKey, v.NeverSeen = "Never connected", "never", true
		v.WhyNot = "It has not connected yet."
		if v.Since.IsZero() {
			v.Since = d.Activated
		}
	default:
		v.Status, v.StatusKey = "Not connected", "down"
		v.WhyNot = "It is not connected."
	}
	if !offersVisit(p) {
		v.CanVisit, v.Barred, v.WhyNot = false, true, "Your role may not visit a PBX."
	}
	return v
}

type devicesView struct {
	SearchBox searchBox
	Status    fleet.Status
	Filters   []filter
	Rows      []deviceView
	Pager     pager
	Empty     bool // the account has no device at all
	Connect   connectView
}

type filter struct {
	Text, Href string
	Current    bool
}

// connectView is what to type to connect the first PBX.
type connectView struct {
	Server  string
	Email   string
	Command string
}

func (c *console) connectView(p fleet.Principal) connectView {
	server := "console." + c.o.Zone + c.o.Port
	email := p.Email
	if strings.ContainsFunc(email, notForShell) {
		email = "EMAIL"
	}
	return connectView{
		Server: server, Email: p.Email,
		Command: "trunkline-agent connect --server https://" + server + " --email " + email + " --sn SERIAL --model MODEL --firmware VERSION",
	}
}

// notForShell is what an e-mail address may hold and a command that people
// copy may not.
func notForShell(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("@._+-", r)
}

func (c *console) devicesPage(w *response, r *http.Request, p fleet.Principal) error {
	q, err := parseList(r)
	if err != nil {
		return err
	}
	status, err := parseStatus(r.URL.Query().Get("status"))
	if err != nil {
		return err
	}
	got, err := c.o.Fleet.Devices(r.Context(), p, fleet.DeviceQuery{Search: q.Search, Status: status, Cursor: q.Cursor, Limit: pageSize})
	if err != nil {
		return err
	}
	keep := url.Values{}
	if status != "" {
		keep.Set("status", string(status))
	}
	v := devicesView{
		Status: status, Filters: statusFilters(q.Search, status),
		SearchBox: searchBox{
			Action: "/", Label: "Search devices", Placeholder: "Name, serial number, site or model", Value: q.Search, Status: status,
		},
		Empty:   len(got.Items) == 0 && q.Search == "" && status == "" && q.Cursor == "",
		Connect: c.connectView(p),
		Pager:   q.pager("/", keep, len(got.Items), got.Total, got.Next),
	}
	ids := make([]id.Device, 0, len(got.Items))
	for _, d := range got.Items {
		v.Rows = append(v.Rows, c.deviceView(p, d))
		ids = append(ids, d.ID)
	}
	list := "all"
	if q.Search != "" || status != "" {
		list = "some"
	}
	return c.show(w, r, p, http.StatusOK, "devices", page{
		Title: "Devices", Nav: "devices", Data: v, Live: livePath(ids, list), Notice: notices[r.URL.Query().Get("notice")],
	})
}

// notices are what a page may say about the step before; the address holds
// only which.
var notices = map[string]string{
	"removed": "The PBX was removed. Its place in your subscription is free again.",
	"ended":   "The visit was ended.",
}

func parseStatus(s string) (fleet.Status, error) {
	switch st := fleet.Status(s); st {
	case "", fleet.StatusConnected, fleet.StatusDisconnected, fleet.StatusNever:
		return st, nil
	}
	return "", fault.New(fault.Invalid, "There is no such status to filter by.").In("status")
}

func statusFilters(search string, current fleet.Status) []filter {
	var out []filter
	for _, f := range []struct {
		status fleet.Status
		text   string
	}{
		{"", "All"}, {fleet.StatusConnected, "Connected"}, {fleet.StatusDisconnected, "Not connected"}, {fleet.StatusNever, "Never connected"},
	} {
		v := url.Values{}
		if search != "" {
			v.Set("q", search)
		}
		if f.status != "" {
			v.Set("status", string(f.status))
		}
		out = append(out, filter{Text: f.text, Href: address("/", v), Current: f.status == current})
	}
	return out
}

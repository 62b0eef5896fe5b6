package console

import (
	"cmp"
	"net/http"
	"net/url"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

type devicesView struct {
	Title     string
	Sub       bool // the devices of the accounts below
	SearchBox searchBox
	Status    fleet.Status
	Filters   []filter
	Groups    []option // to filter by; nil: there are none
	Columns   []column
	Rows      []deviceView
	Pager     pager
	Empty     bool // the account has no device at all
	CanAdd    bool
	CanSelect bool
	Exports   []link
	Connect   connectView
	Path      string
}

type filter struct {
	Text, Href string
	Current    bool
}

// column is a column's head that sorts by it.
type column struct {
	Text, Href string
	Sorted     string // ascending, descending or ""
	// And is another thing in the same column that it can be sorted by; nil:
	// there is none.
	And *column
}

func (c *console) devicesPage(w *response, r *http.Request, p fleet.Principal) error {
	return c.listDevices(w, r, p, false)
}

func (c *console) subDevicesPage(w *response, r *http.Request, p fleet.Principal) error {
	return c.listDevices(w, r, p, true)
}

// devicesTyped is for who types the address that those of the devices begin with.
func (c *console) devicesTyped(w *response, r *http.Request, _ fleet.Principal) error {
	return w.redirect(address("/", r.URL.Query()))
}

// deviceList is what a list's address says.
type deviceList struct {
	listQuery
	fleet.DeviceQuery
	path string
}

func parseDevices(r *http.Request, sub bool) (deviceList, error) {
	q, err := parseList(r)
	if err != nil {
		return deviceList{}, err
	}
	v := r.URL.Query()
	d := deviceList{listQuery: q, path: "/"}
	d.DeviceQuery = fleet.DeviceQuery{Search: q.Search, Cursor: q.Cursor, Limit: pageSize, Group: v.Get("group"), Sort: v.Get("sort"), Desc: v.Get("desc") != "", Sub: sub}
	if sub {
		d.path = "/user-devices"
		if raw := v.Get("account"); raw != "" && d.Account.UnmarshalText([]byte(raw)) != nil {
			return d, fault.New(fault.Invalid, "There is no such account to filter by.").In("account")
		}
	}
	d.Status, err = parseStatus(v.Get("status"))
	return d, err
}

// keep is the address' query with what the list is narrowed to, and its order.
func (d deviceList) keep() url.Values {
	v := url.Values{}
	for k, x := range map[string]string{"status": string(d.Status), "group": d.Group, "sort": d.Sort, "account": string(d.Account)} {
		if x != "" {
			v.Set(k, x)
		}
	}
	if d.Desc {
		v.Set("desc", "1")
	}
	return v
}

// with is the list's address with one thing changed, at its first page.
func (d deviceList) with(key, value string) string {
	v := d.keep()
	if d.listQuery.Search != "" {
		v.Set("q", d.listQuery.Search)
	}
	v.Del(key)
	if value != "" {
		v.Set(key, value)
	}
	return address(d.path, v)
}

func (c *console) listDevices(w *response, r *http.Request, p fleet.Principal, sub bool) error {
	q, err := parseDevices(r, sub)
	if err != nil {
		return err
	}
	got, err := c.o.Fleet.Devices(r.Context(), p, q.DeviceQuery)
	if err != nil {
		return err
	}
	narrowed := q.DeviceQuery.Search != "" || q.Status != "" || q.Group != "" || q.Account != ""
	v := devicesView{
		Title: "My Devices", Sub: sub, Status: q.Status, Filters: q.statusFilters(), Columns: q.columns(), Path: q.path,
		SearchBox: searchBox{
			Action: q.path, Label: "Search devices", Placeholder: "Name, serial number, site, model or comment", Value: q.DeviceQuery.Search, Keep: q.kept(),
		},
		Empty:     len(got.Items) == 0 && !narrowed && q.DeviceQuery.Cursor == "",
		Connect:   c.connectView(p),
		Pager:     q.pager(q.path, q.keep(), len(got.Items), got.Total, got.Next).of(got.More),
		CanAdd:    !sub && p.Access.Default.Has(fleet.ManageDevices),
		CanSelect: true,
		Exports:   []link{{exportPath(q, "xlsx"), "XLSX"}, {exportPath(q, "csv"), "CSV"}},
	}
	if sub {
		v.Title = "User Devices"
	} else if v.Groups, err = c.groupFilter(r, p, q); err != nil {
		return err
	}
	ids := make([]id.Device, 0, len(got.Items))
	for _, d := range got.Items {
		x := c.deviceView(p, d)
		x.Pick = true
		v.Rows = append(v.Rows, x)
		ids = append(ids, d.ID)
	}
	pg := page{Title: v.Title, Nav: "devices", Data: v, Live: livePath(ids, listAll), Poll: rarePoll, Notice: notices[r.URL.Query().Get("notice")]}
	if narrowed {
		pg.Live = livePath(ids, listSome)
	}
	if sub { // the stream does not tell of a reseller that goes, or of what passes a filter now
		pg.Nav, pg.Live, pg.Poll = "sub", livePath(ids, listBelow), slowPoll
	}
	return c.show(w, r, p, http.StatusOK, "devices", pg)
}

// kept are the hidden fields of the search form.
func (d deviceList) kept() []input {
	var out []input
	for _, k := range []string{"status", "group", "sort", "desc", "account"} {
		if x := d.keep().Get(k); x != "" {
			out = append(out, input{Name: k, Kind: "hidden", Value: x})
		}
	}
	return out
}

// Order is how the rows are sorted by what is in the column.
func (c column) Order() string {
	if c.And != nil && c.Sorted == "" {
		return c.And.Sorted
	}
	return c.Sorted
}

func (d deviceList) columns() []column {
	name, serial := d.column("PBX", fleet.SortName), d.column("Serial number", fleet.SortSerial)
	name.And = &serial
	return []column{name, {Text: "Model, firmware"}, d.column("Status", fleet.SortSince), {Text: "Site address"}}
}

// column is the head of what the list can be sorted by; again the other way
// round if it is.
func (d deviceList) column(text, sort string) column {
	v := d.keep()
	v.Set("sort", sort)
	v.Del("desc")
	if d.listQuery.Search != "" {
		v.Set("q", d.listQuery.Search)
	}
	col := column{Text: text}
	if cmp.Or(d.Sort, fleet.SortName) == sort {
		col.Sorted = "ascending"
		if d.Desc {
			col.Sorted = "descending"
		} else {
			v.Set("desc", "1")
		}
	}
	col.Href = address(d.path, v)
	return col
}

func (c *console) groupFilter(r *http.Request, p fleet.Principal, q deviceList) ([]option, error) {
	gs, err := c.o.Fleet.Groups(r.Context(), p)
	if err != nil || len(gs) == 0 {
		return nil, err
	}
	out := []option{{"", "All groups", q.Group == ""}, {fleet.GroupNone, "Without a group", q.Group == fleet.GroupNone}}
	for _, g := range gs {
		out = append(out, option{string(g.ID), plain(g.Name), q.Group == string(g.ID)})
	}
	return out, nil
}

// notices are what a page may say about the step before; the address holds
// only which.
var notices = map[string]string{
	"removed": "The PBX was removed. Its place in your subscription is free again.",
	"ended":   "The visit was ended.",
	"saved":   "Saved.",
	"gone":    "Removed.",
	"revoked": "The code is void now.",
	"licence": "The licence is installed.",
}

func parseStatus(s string) (fleet.Status, error) {
	switch st := fleet.Status(s); st {
	case "", fleet.StatusConnected, fleet.StatusDisconnected, fleet.StatusNever, fleet.StatusNotActivated:
		return st, nil
	}
	return "", fault.New(fault.Invalid, "There is no such status to filter by.").In("status")
}

func (d deviceList) statusFilters() []filter {
	var out []filter
	for _, f := range []struct {
		status fleet.Status
		text   string
	}{
		{"", "All"}, {fleet.StatusConnected, "Connected"}, {fleet.StatusDisconnected, "Not connected"}, {fleet.StatusNever, "Never connected"},
		{fleet.StatusNotActivated, "Not activated"},
	} {
		out = append(out, filter{Text: f.text, Href: d.with("status", string(f.status)), Current: f.status == d.Status})
	}
	return out
}

package controlapi

import (
	"context"
	"io"
	"net/http"
	"strings"

	"trunkline/internal/id"
)

// Tagged is one thing and its ETag, for IfMatch.
type Tagged[T any] struct {
	Value T
	ETag  string
}

func (t *Tagged[T]) setETag(etag string) any {
	t.ETag = etag
	return &t.Value
}

func (c *Client) Devices(ctx context.Context, q DeviceQuery) (DevicePage, error) {
	return call[DevicePage](ctx, c, http.MethodGet, "/devices", q.PageQuery.add(q.DeviceFilter.values()), nil)
}

// ExportDevices writes a file for a spreadsheet to w. With an error what is
// there is not the whole of it.
func (c *Client) ExportDevices(ctx context.Context, q DeviceExport, w io.Writer) error {
	kind := "text/csv"
	if q.Format == "xlsx" {
		kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	}
	return c.copyTo(ctx, w, "/devices/export", q.values(), kind)
}

func (c *Client) Device(ctx context.Context, d id.Device) (Device, error) {
	t, err := c.TaggedDevice(ctx, d)
	return t.Value, err
}

func (c *Client) TaggedDevice(ctx context.Context, d id.Device) (Tagged[Device], error) {
	return call[Tagged[Device]](ctx, c, http.MethodGet, at("/devices/%s", d), nil, nil)
}

// AddDevice makes a record, and the code that binds it to its PBX.
func (c *Client) AddDevice(ctx context.Context, q NewDevice) (DeviceCode, error) {
	return call[DeviceCode](ctx, c, http.MethodPost, "/devices", nil, q)
}

func (c *Client) EditDevice(ctx context.Context, d id.Device, q DeviceEdit) (Tagged[Device], error) {
	return call[Tagged[Device]](ctx, c, http.MethodPatch, at("/devices/%s", d), nil, q)
}

// RemoveDevice takes a PBX out of its account and ends its tunnel. It has to
// be activated again to come back.
func (c *Client) RemoveDevice(ctx context.Context, d id.Device) error {
	return c.call(ctx, http.MethodDelete, at("/devices/%s", d), nil, nil, nil)
}

// RemoveDevices removes up to 200, each for itself.
func (c *Client) RemoveDevices(ctx context.Context, ds []id.Device) ([]Removal, error) {
	l, err := call[List[Removal]](ctx, c, http.MethodPost, "/devices/removals", nil, Removals{Devices: ds})
	return l.Items, err
}

// IssueCode makes another code for a device; the old one is void.
func (c *Client) IssueCode(ctx context.Context, d id.Device, q CodeRequest) (DeviceCode, error) {
	return call[DeviceCode](ctx, c, http.MethodPost, at("/devices/%s/code", d), nil, q)
}

func (c *Client) RevokeCode(ctx context.Context, d id.Device) (Tagged[Device], error) {
	return call[Tagged[Device]](ctx, c, http.MethodDelete, at("/devices/%s/code", d), nil, nil)
}

func (c *Client) DeviceEvents(ctx context.Context, d id.Device, q PageQuery) (Page[StatusChange], error) {
	return call[Page[StatusChange]](ctx, c, http.MethodGet, at("/devices/%s/events", d), q.values(), nil)
}

func (c *Client) Groups(ctx context.Context, q PageQuery) (Page[Group], error) {
	return call[Page[Group]](ctx, c, http.MethodGet, "/groups", q.values(), nil)
}

func (c *Client) AddGroup(ctx context.Context, name string) (Tagged[Group], error) {
	return call[Tagged[Group]](ctx, c, http.MethodPost, "/groups", nil, GroupName{Name: name})
}

func (c *Client) Group(ctx context.Context, g id.Group) (Tagged[Group], error) {
	return call[Tagged[Group]](ctx, c, http.MethodGet, at("/groups/%s", g), nil, nil)
}

func (c *Client) RenameGroup(ctx context.Context, g id.Group, name string) (Tagged[Group], error) {
	return call[Tagged[Group]](ctx, c, http.MethodPatch, at("/groups/%s", g), nil, GroupName{Name: name})
}

// RemoveGroup leaves its devices in no group.
func (c *Client) RemoveGroup(ctx context.Context, g id.Group) error {
	return c.call(ctx, http.MethodDelete, at("/groups/%s", g), nil, nil, nil)
}

func (c *Client) StartVisit(ctx context.Context, q VisitRequest) (VisitStart, error) {
	return call[VisitStart](ctx, c, http.MethodPost, "/visits", nil, q)
}

func (c *Client) EndVisit(ctx context.Context, v id.Visit) error {
	return c.call(ctx, http.MethodDelete, at("/visits/%s", v), nil, nil, nil)
}

// EndVisitsOf ends all visits of a person and says how many there were.
func (c *Client) EndVisitsOf(ctx context.Context, u id.User) (int, error) {
	e, err := call[Ended](ctx, c, http.MethodDelete, "/visits", map[string][]string{"user": {string(u)}}, nil)
	return e.Ended, err
}

func (c *Client) Visits(ctx context.Context, q VisitQuery) (VisitPage, error) {
	return call[VisitPage](ctx, c, http.MethodGet, "/visits", q.values(), nil)
}

// copyTo streams an answer of any length. The caller's ctx alone bounds it.
func (c *Client) copyTo(ctx context.Context, w io.Writer, path string, query map[string][]string, kind string) error {
	resp, err := c.send(ctx, http.MethodGet, path, query, nil, kind)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(w, resp.Body)
	return err
}

// text is a request's body that is not JSON.
type text string

func (t text) reader() io.Reader { return strings.NewReader(string(t)) }

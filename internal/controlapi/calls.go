package controlapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"trunkline/internal/id"
)

// Activate takes a PBX into an account. Asking again is harmless.
func (c *Client) Activate(ctx context.Context, q ActivationRequest) (Grant, error) {
	return c.grant(ctx, "/activations", q)
}

// RenewPass gets a device a new pass.
func (c *Client) RenewPass(ctx context.Context, q RenewalRequest) (Grant, error) {
	return c.grant(ctx, "/passes", q)
}

func (c *Client) grant(ctx context.Context, path string, q any) (Grant, error) {
	var g Grant
	if err := c.call(ctx, http.MethodPost, path, nil, q, &g); err != nil {
		return Grant{}, err
	}
	if g.Device == "" || g.Site == "" || g.Pass == "" || g.LifetimeSeconds <= 0 {
		return Grant{}, errors.New("control's answer lacks device, site or pass")
	}
	return g, nil
}

// SignIn opens a session. Use WithToken to act in it.
func (c *Client) SignIn(ctx context.Context, email, password string) (Session, error) {
	return call[Session](ctx, c, http.MethodPost, "/sessions", nil, SignInRequest{Email: email, Password: password})
}

// SignOut ends the client's session.
func (c *Client) SignOut(ctx context.Context) error {
	return c.call(ctx, http.MethodDelete, "/sessions/current", nil, nil, nil)
}

func (c *Client) Devices(ctx context.Context, q DeviceQuery) (DevicePage, error) {
	v := q.values()
	set(v, "search", q.Search)
	set(v, "status", q.Status)
	return call[DevicePage](ctx, c, http.MethodGet, "/devices", v, nil)
}

func (c *Client) Device(ctx context.Context, d id.Device) (Device, error) {
	return call[Device](ctx, c, http.MethodGet, "/devices/"+url.PathEscape(string(d)), nil, nil)
}

// RemoveDevice takes a PBX out of its account and ends its tunnel. It has to
// be activated again to come back.
func (c *Client) RemoveDevice(ctx context.Context, d id.Device) error {
	return c.call(ctx, http.MethodDelete, "/devices/"+url.PathEscape(string(d)), nil, nil, nil)
}

func (c *Client) StartVisit(ctx context.Context, q VisitRequest) (VisitStart, error) {
	return call[VisitStart](ctx, c, http.MethodPost, "/visits", nil, q)
}

func (c *Client) EndVisit(ctx context.Context, v id.Visit) error {
	return c.call(ctx, http.MethodDelete, "/visits/"+url.PathEscape(string(v)), nil, nil, nil)
}

func (c *Client) Visits(ctx context.Context, q PageQuery) (VisitPage, error) {
	return call[VisitPage](ctx, c, http.MethodGet, "/visits", q.values(), nil)
}

func (c *Client) Subscription(ctx context.Context) (Subscription, error) {
	return call[Subscription](ctx, c, http.MethodGet, "/subscription", nil, nil)
}

func (c *Client) Audit(ctx context.Context, q AuditQuery) (AuditPage, error) {
	v := q.values()
	set(v, "search", q.Search)
	set(v, "action", q.Action)
	return call[AuditPage](ctx, c, http.MethodGet, "/audit", v, nil)
}

// call returns the zero answer with every error.
func call[A any](ctx context.Context, c *Client, method, path string, query url.Values, in any) (A, error) {
	var out, none A
	if err := c.call(ctx, method, path, query, in, &out); err != nil {
		return none, err
	}
	return out, nil
}

func (q PageQuery) values() url.Values {
	v := url.Values{}
	set(v, "cursor", q.Cursor)
	if q.Limit != 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

func set(v url.Values, key, value string) {
	if value != "" {
		v.Set(key, value)
	}
}

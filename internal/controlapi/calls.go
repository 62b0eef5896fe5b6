package controlapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"
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

// call returns the zero answer with every error.
func call[A any](ctx context.Context, c *Client, method, path string, query url.Values, in any) (A, error) {
	var out, none A
	if err := c.call(ctx, method, path, query, in, &out); err != nil {
		return none, err
	}
	return out, nil
}

package controlapi

import (
	"context"
	"io"
	"net/http"

	"trunkline/internal/id"
)

func (c *Client) Overview(ctx context.Context) (Overview, error) {
	return call[Overview](ctx, c, http.MethodGet, "/overview", nil, nil)
}

func (c *Client) Subscription(ctx context.Context) (Subscription, error) {
	return call[Subscription](ctx, c, http.MethodGet, "/subscription", nil, nil)
}

// TunnelSettings is where the account's devices' tunnels should be.
func (c *Client) TunnelSettings(ctx context.Context) (Tagged[TunnelSettings], error) {
	return call[Tagged[TunnelSettings]](ctx, c, http.MethodGet, "/tunnel-settings", nil, nil)
}

func (c *Client) EditTunnelSettings(ctx context.Context, q TunnelSettingsEdit) (Tagged[TunnelSettings], error) {
	return call[Tagged[TunnelSettings]](ctx, c, http.MethodPatch, "/tunnel-settings", nil, q)
}

// InstallLicence puts a licence file in force.
func (c *Client) InstallLicence(ctx context.Context, file string) (Subscription, error) {
	return call[Subscription](ctx, c, http.MethodPut, "/subscription/licence", nil, text(file))
}

func (c *Client) Audit(ctx context.Context, q AuditQuery) (AuditPage, error) {
	return call[AuditPage](ctx, c, http.MethodGet, "/audit", q.PageQuery.add(q.AuditFilter.values()), nil)
}

// ExportAudit writes entries to w, one AuditEntry in JSON a line. With an
// error what is there is not the whole of it.
func (c *Client) ExportAudit(ctx context.Context, f AuditFilter, w io.Writer) error {
	return c.copyTo(ctx, w, "/audit/export", f.values(), "application/jsonl")
}

func (c *Client) Me(ctx context.Context) (Me, error) {
	return call[Me](ctx, c, http.MethodGet, "/me", nil, nil)
}

// ChangePassword changes one's own. One's other sessions end.
func (c *Client) ChangePassword(ctx context.Context, old, next string) error {
	return c.call(ctx, http.MethodPut, "/me/password", nil, PasswordChange{Old: old, New: next}, nil)
}

// Invitation says whom an invitation is for.
func (c *Client) Invitation(ctx context.Context, token string) (Invited, error) {
	return call[Invited](ctx, c, http.MethodGet, at("/invitations/%s", token), nil, nil)
}

// AcceptInvitation sets the person's password and signs in.
func (c *Client) AcceptInvitation(ctx context.Context, token, password string) (Session, error) {
	return call[Session](ctx, c, http.MethodPost, at("/invitations/%s/acceptance", token), nil, Acceptance{Password: password})
}

func (c *Client) Users(ctx context.Context, q ListQuery) (Page[User], error) {
	return call[Page[User]](ctx, c, http.MethodGet, "/users", q.values(), nil)
}

func (c *Client) InviteUser(ctx context.Context, q NewUser) (Invitation, error) {
	return call[Invitation](ctx, c, http.MethodPost, "/users", nil, q)
}

func (c *Client) User(ctx context.Context, u id.User) (Tagged[User], error) {
	return call[Tagged[User]](ctx, c, http.MethodGet, at("/users/%s", u), nil, nil)
}

func (c *Client) EditUser(ctx context.Context, u id.User, q UserEdit) (Tagged[User], error) {
	return call[Tagged[User]](ctx, c, http.MethodPatch, at("/users/%s", u), nil, q)
}

func (c *Client) RemoveUser(ctx context.Context, u id.User) error {
	return c.call(ctx, http.MethodDelete, at("/users/%s", u), nil, nil, nil)
}

// ReinviteUser makes a new invitation; the old one and the password are void.
func (c *Client) ReinviteUser(ctx context.Context, u id.User) (Invitation, error) {
	return call[Invitation](ctx, c, http.MethodPost, at("/users/%s/invitation", u), nil, nil)
}

func (c *Client) Roles(ctx context.Context) ([]RoleRights, error) {
	l, err := call[List[RoleRights]](ctx, c, http.MethodGet, "/roles", nil, nil)
	return l.Items, err
}

func (c *Client) Role(ctx context.Context, role string) (Tagged[RoleRights], error) {
	return call[Tagged[RoleRights]](ctx, c, http.MethodGet, at("/roles/%s", role), nil, nil)
}

func (c *Client) SetRole(ctx context.Context, role string, a Access) (Tagged[RoleRights], error) {
	return call[Tagged[RoleRights]](ctx, c, http.MethodPut, at("/roles/%s", role), nil, a)
}

func (c *Client) Resellers(ctx context.Context, q ListQuery) (Page[Reseller], error) {
	return call[Page[Reseller]](ctx, c, http.MethodGet, "/resellers", q.values(), nil)
}

func (c *Client) AddReseller(ctx context.Context, q NewReseller) (ResellerInvitation, error) {
	return call[ResellerInvitation](ctx, c, http.MethodPost, "/resellers", nil, q)
}

func (c *Client) Reseller(ctx context.Context, a id.Account) (Tagged[Reseller], error) {
	return call[Tagged[Reseller]](ctx, c, http.MethodGet, at("/resellers/%s", a), nil, nil)
}

func (c *Client) EditReseller(ctx context.Context, a id.Account, q ResellerEdit) (Tagged[Reseller], error) {
	return call[Tagged[Reseller]](ctx, c, http.MethodPatch, at("/resellers/%s", a), nil, q)
}

func (c *Client) RemoveReseller(ctx context.Context, a id.Account) error {
	return c.call(ctx, http.MethodDelete, at("/resellers/%s", a), nil, nil, nil)
}

func (c *Client) Tokens(ctx context.Context, q PageQuery) (Page[APIToken], error) {
	return call[Page[APIToken]](ctx, c, http.MethodGet, "/tokens", q.values(), nil)
}

func (c *Client) AddToken(ctx context.Context, q NewToken) (TokenSecret, error) {
	return call[TokenSecret](ctx, c, http.MethodPost, "/tokens", nil, q)
}

func (c *Client) RevokeToken(ctx context.Context, t id.Token) error {
	return c.call(ctx, http.MethodDelete, at("/tokens/%s", t), nil, nil, nil)
}

package console

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

type meView struct {
	User     fleet.User
	Account  string
	Manages  bool // the account's settings
	Tokens   []tokenView
	Pager    pager
	Password form
	Token    form
	Scopes   []scopeView
}

type tokenView struct {
	fleet.APIToken
	Own     bool
	Expired bool
}

type scopeView struct {
	Name    string
	Checked bool
}

func (c *console) mePage(w *response, r *http.Request, p fleet.Principal) error {
	return c.showMe(w, r, p, passwordForm(), tokenForm())
}

func passwordForm() form {
	return form{Action: "/me/password", Submit: "Change password", Inputs: []input{
		{Name: "old", Label: "Present password", Kind: "password", Max: fleet.MaxPassword, Required: true, Autocomplete: "current-password"},
		{Name: "new", Label: "New password", Kind: "password", Max: fleet.MaxPassword, Required: true, Autocomplete: "new-password", Hint: "At least 8 characters. Your other sessions end."},
		{Name: "again", Label: "New password again", Kind: "password", Max: fleet.MaxPassword, Required: true, Autocomplete: "new-password"},
	}}
}

// tokenLives go from the shortest that fleet allows to the longest.
var tokenLives = []option{{"1h", "1 hour", false}, {"24h", "1 day", false}, {"168h", "7 days", false}, {"720h", "30 days", true}, {"2160h", "90 days", false}, {"8760h", "1 year", false}, {"9600h", "400 days", false}}

func tokenForm() form {
	return form{Action: "/me/tokens", Submit: "Create token", Inputs: []input{
		{Name: "name", Label: "Name of the token", Kind: "text", Max: 100, Required: true, Autocomplete: "off", Hint: "What uses it, such as: billing export."},
		{Name: "life", Label: "It is good for", Kind: "select", Options: slices.Clone(tokenLives)},
	}}
}

func (c *console) showMe(w *response, r *http.Request, p fleet.Principal, password, token form) error {
	u, a, err := c.o.Fleet.Me(r.Context(), p)
	if err != nil {
		return err
	}
	q, err := parseList(r)
	if err != nil {
		return err
	}
	q.Search = "" // tokens have none
	ts, err := c.o.Fleet.Tokens(r.Context(), p, q.Cursor, pageSize)
	if err != nil {
		return err
	}
	v := meView{
		User: u, Account: a.Name, Manages: manages(p.Role), Password: password, Token: token,
		Pager: q.pager("/me", url.Values{}, len(ts.Items), ts.Total, ts.Next).of(ts.More),
	}
	for _, t := range ts.Items {
		v.Tokens = append(v.Tokens, tokenView{APIToken: t, Own: t.User == p.User, Expired: !c.now().Before(t.Expires)})
	}
	for _, s := range fleet.Scopes() {
		v.Scopes = append(v.Scopes, scopeView{s, slices.Contains(r.PostForm["scope"], s)})
	}
	status := max(statusOf(password), statusOf(token))
	return c.show(w, r, p, status, "me", page{Title: "My account", Nav: "me", Data: v, Notice: notices[r.URL.Query().Get("notice")]})
}

func (c *console) changePassword(w *response, r *http.Request, p fleet.Principal) error {
	next := r.PostFormValue("new")
	err := sameTwice(next, r.PostFormValue("again"))
	if err == nil {
		err = c.o.Fleet.ChangePassword(r.Context(), p, r.PostFormValue("old"), next)
	}
	if err != nil {
		f := passwordForm()
		if !f.refused(err) {
			return err
		}
		w.code = f.Code
		return c.showMe(w, r, p, f, tokenForm())
	}
	return w.redirect("/me?notice=saved")
}

func sameTwice(a, b string) error {
	if a != b {
		return fault.New(fault.Invalid, "The two are not the same. Type the new password twice.").In("again")
	}
	return nil
}

func (c *console) addToken(w *response, r *http.Request, p fleet.Principal) error {
	life, err := time.ParseDuration(r.PostFormValue("life"))
	if err != nil || !slices.ContainsFunc(tokenLives, func(o option) bool { return o.Value == r.PostFormValue("life") }) {
		err = fault.New(fault.Invalid, "Choose one of the times.").In("life")
	}
	var t fleet.APIToken
	var secret string
	if err == nil {
		t, secret, err = c.o.Fleet.AddToken(r.Context(), p, fleet.NewToken{Name: r.PostFormValue("name"), Scopes: r.PostForm["scope"], Life: life})
	}
	if err != nil {
		f := tokenForm()
		f.filled(r)
		if !f.refused(err) {
			return err
		}
		w.code = f.Code
		return c.showMe(w, r, p, passwordForm(), f)
	}
	return c.show(w, r, p, http.StatusOK, "token", page{Title: "API token", Nav: "me", Data: tokenSecret{t, secret}})
}

// tokenSecret shows a token, once.
type tokenSecret struct {
	fleet.APIToken
	Secret string
}

func (c *console) revokeToken(w *response, r *http.Request, p fleet.Principal) error {
	var t id.Token
	if err := t.UnmarshalText([]byte(r.PathValue("token"))); err != nil {
		return fault.New(fault.NotFound, "There is no such token.")
	}
	if err := c.o.Fleet.RevokeToken(r.Context(), p, t); err != nil {
		return err
	}
	return w.redirect("/me?notice=gone")
}

package page

import (
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"trunkline/agent/manage"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

const (
	changeTime = 15 * time.Second
	// activateTime bounds how long a browser waits for the provider's answer.
	activateTime = 40 * time.Second
)

// doneWords are what the page says after a form; its address names them.
var doneWords = map[string]string{
	"saved": "Saved.", "connected": "The provider has taken this PBX.", "access-on": "Remote access is on.",
	"access-off": "Remote access is off. Nobody is in any more.", "ended": "The visit has ended.",
}

// form is what was typed, to be shown again beside what is wrong with it.
type form struct {
	values  url.Values // nil: as it is
	field   string
	problem string
	code    fault.Code
}

// then does what a form asks and goes back to the page.
func (g *Page) then(w http.ResponseWriter, r *http.Request, done string, do func(context.Context) error) {
	ctx, cancel := g.detached(r.Context(), changeTime)
	defer cancel()
	if err := do(ctx); err != nil {
		g.render(w, r, status(err), g.problem(nil, err), "")
		return
	}
	http.Redirect(w, r, "/?done="+done, http.StatusSeeOther)
}

// save is the form: settings, and the connection to a provider if there is
// something in it to connect with. What is refused leaves everything as it was.
func (g *Page) save(w http.ResponseWriter, r *http.Request) {
	if !g.parse(w, r) {
		return
	}
	ctx, cancel := g.detached(r.Context(), activateTime)
	defer cancel()
	v, err := g.desk.View(ctx)
	if err != nil {
		g.render(w, r, status(err), g.problem(r.PostForm, err), "")
		return
	}
	c, err := changeOf(r.PostForm, r.MultipartForm, v)
	if err == nil {
		err = g.desk.Change(ctx, c)
	}
	if err != nil {
		g.render(w, r, status(err), g.problem(r.PostForm, err), "")
		return
	}
	done := "saved"
	if c.Connect != nil {
		done = "connected"
	}
	http.Redirect(w, r, "/?done="+done, http.StatusSeeOther)
}

// changeOf reads all of the form, which always has the switches and the account.
func changeOf(f url.Values, m *multipart.Form, v manage.View) (manage.Change, error) {
	passwordless := f.Get("passwordless") == "on"
	c := manage.Change{Passwordless: &passwordless, Account: &manage.AccountChange{
		User: f.Get("account_user"), Password: f.Get("account_password"),
	}}
	minutes, err := strconv.Atoi(strings.TrimSpace(f.Get("auto_logout")))
	if err != nil {
		return c, fault.New(fault.Invalid, "The auto logout time must be a whole number of minutes, %d to %d.",
			manage.MinAutoLogout, manage.MaxAutoLogout).In("auto_logout")
	}
	c.AutoLogout = &minutes
	if portal := strings.TrimSpace(f.Get("portal")); f.Has("portal") && portal != v.Portal.Value {
		c.Portal = &portal
	}
	q, wanted := activationOf(f, v)
	if q.CA, err = certificates(f, m); err != nil {
		return c, err
	}
	if wanted || q.CA != "" {
		c.Connect = &q
	}
	return c, nil
}

// activationOf reads what connects this PBX, and whether that is wanted: a
// secret was typed, or the connection is to be another one than there is.
func activationOf(f url.Values, v manage.View) (q manage.Activation, wanted bool) {
	q = manage.Activation{
		ServerType: manage.ServerType(f.Get("server_type")), Server: strings.TrimSpace(f.Get("server")),
		Method: manage.Method(f.Get("method")), Email: strings.TrimSpace(f.Get("email")), Password: f.Get("password"), Code: f.Get("code"),
		Serial: id.Serial(strings.ToUpper(strings.TrimSpace(f.Get("serial")))),
		Model:  strings.TrimSpace(f.Get("model")), Firmware: strings.TrimSpace(f.Get("firmware")),
	}
	if q.Method == manage.ByCode {
		wanted = q.Code != ""
	} else {
		wanted = q.Password != "" || q.Email != v.Email
	}
	return q, wanted || q.ServerType != v.Type || q.Method != v.Method || q.ServerType == manage.CustomServer && q.Server != v.Server
}

// certificates are those that were chosen as a file, else those pasted.
func certificates(f url.Values, m *multipart.Form) (string, error) {
	if m == nil || len(m.File["ca_file"]) == 0 || m.File["ca_file"][0].Size == 0 {
		return strings.TrimSpace(f.Get("ca")), nil
	}
	file, err := m.File["ca_file"][0].Open()
	if err != nil {
		return "", err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, manage.MaxCA+1))
	return string(b), err
}

// problem is what err says of the form f. No password is shown again.
func (g *Page) problem(f url.Values, err error) form {
	var known *fault.Error
	if !errors.As(err, &known) {
		g.log.Error("page", zap.Error(err))
		known = fault.New(fault.Internal, "Something went wrong on this PBX; the agent's log has more: %v", err)
	}
	return form{values: f, field: known.Field, problem: known.Message, code: known.Code}
}

func status(err error) int {
	var f *fault.Error
	if errors.As(err, &f) && f.Code == fault.Invalid {
		return http.StatusUnprocessableEntity
	}
	return fault.Status(fault.CodeOf(err))
}

func parseVisit(s string) (v id.Visit, err error) {
	err = v.UnmarshalText([]byte(s))
	return v, err
}

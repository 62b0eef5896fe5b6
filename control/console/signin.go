package console

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
)

type signInView struct {
	Email, Next string
	Error       string // above the form
	Code        fault.Code
	Field       string // email or password: where the error is
}

// MaxPassword is how many characters are worth typing.
func (signInView) MaxPassword() int { return fleet.MaxPassword }

func (c *console) signInPage(w *response, r *http.Request) error {
	next := localPath(r.URL.Query().Get("next"))
	if t := sessionToken(r); t != "" {
		if _, err := c.o.Fleet.Authenticate(r.Context(), t); err == nil {
			return w.redirect(next)
		}
	}
	return c.signInForm(w, http.StatusOK, signInView{Next: next})
}

func (c *console) signIn(w *response, r *http.Request) error {
	email, password := strings.TrimSpace(r.PostFormValue("email")), r.PostFormValue("password")
	v := signInView{Email: plainTo(254, email), Next: localPath(r.PostFormValue("next"))}
	err := checkLogin(email, password)
	var s fleet.Session
	if err == nil {
		s, err = c.o.Fleet.SignIn(r.Context(), email, password, remote(r))
	}
	if err != nil {
		f, ok := errors.AsType[*fault.Error](err)
		if !ok {
			return err
		}
		w.code = f.Code
		v.Error, v.Code, v.Field = f.Message, f.Code, f.Field
		if f.Retry > 0 {
			retryAfter(w.Header(), f.Retry)
			v.Error = "Too many wrong passwords. " + c.comeBack(f.Retry)
			if f.Code != fault.TooMany {
				v.Error = f.Message + " " + c.comeBack(f.Retry)
			}
		}
		return c.signInForm(w, fault.Status(f.Code), v)
	}
	c.endOldSession(r)
	w.user = s.User.ID
	setSession(w, s.Token)
	return w.redirect(v.Next)
}

func checkLogin(email, password string) error {
	switch {
	case email == "":
		return fault.New(fault.Invalid, "Enter your e-mail address.").In("email")
	case len(email) > 254:
		return fault.New(fault.Invalid, "That is longer than any e-mail address.").In("email")
	case password == "":
		return fault.New(fault.Invalid, "Enter your password.").In("password")
	case utf8.RuneCountInString(password) > fleet.MaxPassword:
		return fault.New(fault.Invalid, "That is longer than any password here (%d characters).", fleet.MaxPassword).In("password")
	}
	return nil
}

func (c *console) signInForm(w *response, status int, v signInView) error {
	b, err := c.render("sign-in", page{Title: "Sign in", Data: v})
	if err != nil {
		return err
	}
	return w.send(status, b)
}

// comeBack says when, in words that are true however long the page stays open.
func (c *console) comeBack(in time.Duration) string {
	at := c.now().Add(in)
	if in < time.Minute {
		return fmt.Sprintf("Try again in %d seconds, at %s.", max(1, int(in.Round(time.Second)/time.Second)), at.UTC().Format("15:04:05 UTC"))
	}
	m := int((in + time.Minute - 1) / time.Minute)
	unit := "minutes"
	if m == 1 {
		unit = "minute"
	}
	return fmt.Sprintf("Try again in %d %s, at %s.", m, unit, at.UTC().Format("15:04 UTC"))
}

// endOldSession ends the session that the browser had before, so that a token
// planted or left behind is worth nothing after a sign-in.
func (c *console) endOldSession(r *http.Request) {
	t := sessionToken(r)
	if t == "" {
		return
	}
	p, err := c.o.Fleet.Authenticate(r.Context(), t)
	if err != nil {
		return
	}
	p.Remote = remote(r)
	if err := c.o.Fleet.SignOut(r.Context(), p); err != nil {
		c.log.Warn("end the session before", zap.Error(err))
	}
}

func (c *console) signOut(w *response, r *http.Request, p fleet.Principal) error {
	if err := c.o.Fleet.SignOut(r.Context(), p); err != nil {
		return err
	}
	clearSession(w)
	return w.redirect("/sign-in")
}

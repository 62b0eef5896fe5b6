package page

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"trunkline/agent/manage"
)

// show is the page: what the person may see of it.
func (g *Page) show(w http.ResponseWriter, r *http.Request) {
	if g.signedIn(r, true) {
		g.render(w, r, http.StatusOK, form{}, doneWords[r.URL.Query().Get("done")])
		return
	}
	set, err := g.lock.isSet()
	switch {
	case err != nil:
		g.damagedPassword(w, r, err)
	case set:
		g.signInPage(w, r, http.StatusOK, "")
	default:
		g.passwordPage(w, r, http.StatusOK, "")
	}
}

func (g *Page) damagedPassword(w http.ResponseWriter, r *http.Request, err error) {
	g.log.Error("page's password cannot be read", zap.Error(err))
	g.fail(w, r, http.StatusServiceUnavailable, "The password cannot be read",
		"Reset it on this PBX with: trunkline-agent page reset-password")
}

// setPassword is the first use.
func (g *Page) setPassword(w http.ResponseWriter, r *http.Request) {
	if !g.parse(w, r) {
		return
	}
	one, two := r.PostForm.Get("password"), r.PostForm.Get("again")
	switch {
	case len(one) < minPassword:
		g.passwordPage(w, r, http.StatusUnprocessableEntity, "The password needs at least "+strconv.Itoa(minPassword)+" characters.")
		return
	case len(one) > manage.MaxPassword:
		g.passwordPage(w, r, http.StatusUnprocessableEntity, "The password is longer than "+strconv.Itoa(manage.MaxPassword)+" characters.")
		return
	case one != two:
		g.passwordPage(w, r, http.StatusUnprocessableEntity, "The two passwords are not the same.")
		return
	}
	switch err := g.lock.set(one); {
	case errors.Is(err, errSet):
		g.signInPage(w, r, http.StatusConflict, "A password has been set already. Sign in with it; if you do not know who set it, reset it on this PBX with: trunkline-agent page reset-password")
	case err != nil:
		g.damagedPassword(w, r, err)
	default:
		g.log.Info("page's password set")
		g.enter(w, r)
	}
}

func (g *Page) signIn(w http.ResponseWriter, r *http.Request) {
	if !g.parse(w, r) {
		return
	}
	password := r.PostForm.Get("password")
	if len(password) > manage.MaxPassword {
		password = ""
	}
	switch err := g.lock.try(password); {
	case errors.Is(err, errThrottled):
		w.Header().Set("Retry-After", strconv.Itoa(int(triesEvery.Seconds())))
		g.signInPage(w, r, http.StatusTooManyRequests, "Too many wrong passwords. Wait a moment and try again.")
	case errors.Is(err, errWrong):
		g.log.Warn("wrong password for the page")
		g.signInPage(w, r, http.StatusUnauthorized, "The password is wrong.")
	case err != nil:
		g.damagedPassword(w, r, err)
	default:
		g.log.Info("signed in to the page")
		g.enter(w, r)
	}
}

func (g *Page) enter(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(cookieName); err == nil {
		g.sessions.end(c.Value)
	}
	http.SetCookie(w, cookie(g.sessions.begin(), 0))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (g *Page) signOut(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(cookieName); err == nil {
		g.sessions.end(c.Value)
	}
	http.SetCookie(w, cookie("", -1))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// parse reads a form, bounded by the door.
func (g *Page) parse(w http.ResponseWriter, r *http.Request) bool {
	err := r.ParseForm()
	if err == nil && strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
		err = r.ParseMultipartForm(maxBody)
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		g.fail(w, r, http.StatusRequestEntityTooLarge, "Too large", "What was sent is larger than any form of this page.")
	case err != nil:
		g.fail(w, r, http.StatusBadRequest, "Malformed", "What was sent is no form of this page.")
	}
	return err == nil
}

func (g *Page) passwordPage(w http.ResponseWriter, r *http.Request, status int, problem string) {
	g.narrow(w, status, "Set a password", join(
		tag("h1", attrs{"id", "h"}, text("Set a password")),
		tag("p", attrs{"class", "lead"}, text("This page connects the PBX to its provider. Choose a password that protects it from now on.")),
		alert(problem),
		tag("form", attrs{"method", "post", "action", "/password"},
			passwordField("password", "Password", "new-password", problem, true),
			tag("p", attrs{"class", "hint"}, text("At least "+strconv.Itoa(minPassword)+" characters.")),
			passwordField("again", "Password again", "new-password", problem, false),
			tag("button", attrs{"class", "btn primary wide"}, text("Set password")),
		)))
}

func (g *Page) signInPage(w http.ResponseWriter, r *http.Request, status int, problem string) {
	g.narrow(w, status, "Sign in", join(
		tag("h1", attrs{"id", "h"}, text("Sign in")),
		tag("p", attrs{"class", "lead"}, text("Remote Management of this PBX.")),
		alert(problem),
		tag("form", attrs{"method", "post", "action", "/sign-in"},
			passwordField("password", "Password", "current-password", problem, true),
			tag("button", attrs{"class", "btn primary wide"}, text("Sign in")),
		),
		tag("p", attrs{"class", "hint"}, text("Forgotten? On this PBX: "), tag("code", nil, text("trunkline-agent page reset-password")))))
}

func passwordField(name, label, complete, problem string, focus bool) markup {
	a := attrs{
		"id", name, "name", name, "type", "password", "required?", "1", "maxlength", strconv.Itoa(manage.MaxPassword),
		"autocomplete", complete, "autofocus?", flag(focus),
	}
	if problem != "" {
		a = append(a, "aria-describedby", "problem")
	}
	return join(tag("label", attrs{"for", name}, text(label)), tag("input", a))
}

func alert(problem string) markup {
	return when(problem != "", tag("p", attrs{"class", "alert", "role", "alert", "id", "problem"}, text(problem)))
}

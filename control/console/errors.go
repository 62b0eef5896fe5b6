package console

import (
	"bytes"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

type errorView struct {
	Title     string
	Status    int
	Message   string
	Hint      string
	Code      fault.Code
	Reference string // of an internal error
	Back      string // path to go to
	BackText  string
}

// hints say what to do where fleet's message says only what is wrong.
var hints = map[fault.Code]string{
	fault.NotConnected:   "Check the power and the network of the PBX, and the status on its Remote Management page. The console shows when it is back.",
	fault.LicenceExpired: "Renew the licence. PBXs stay connected meanwhile.",
	fault.Forbidden:      "Ask an administrator of your account.",
	fault.Unavailable:    "Wait a moment and try again.",
	fault.TooMany:        "Wait a moment and try again.",
	fault.CrossSite:      "If you did not do anything, somebody's page tried to act in your name. Nothing was done.",
	fault.NotFound:       "It may have been removed, or the address is mistyped.",
	fault.DeviceRemoved:  "To use it again, connect it from its Remote Management page.",
}

// fail answers with what went wrong. Nil and errors that are no faults are
// internal errors: their text goes to the log, their reference to both.
func (c *console) fail(w *response, r *http.Request, p fleet.Principal, err error) {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		if err != nil && r.Context().Err() != nil {
			w.status = 499 // nobody is left to be told: the browser went away
			return
		}
		f = fault.New(fault.Internal, "Something went wrong on our side. Give the reference to the operator.")
		if err != nil {
			w.ref = id.Ref()
			c.log.Error("request", zap.String("ref", w.ref), zap.String("route", r.Pattern), zap.Error(err))
		}
	}
	w.code = f.Code
	if f.Retry > 0 {
		retryAfter(w.Header(), f.Retry)
	}
	if r.URL.Path == "/live" {
		fault.ProblemOf(f, w.ref).Write(w)
		return
	}
	if f.Code == fault.SignInNeeded {
		_ = w.redirect(c.signInPath(r))
		return
	}
	c.failPage(w, r, p, f)
}

func (c *console) failPage(w *response, r *http.Request, p fleet.Principal, f *fault.Error) {
	v := errorView{
		Title: errorTitle(f.Code), Status: fault.Status(f.Code), Message: f.Message, Hint: hints[f.Code], Code: f.Code, Reference: w.ref,
		Back: "/", BackText: "Devices",
	}
	if f.Retry > 0 {
		v.Hint = c.comeBack(f.Retry)
	}
	if d, ok := strings.CutSuffix(r.URL.Path, "/visit"); ok && strings.HasPrefix(d, "/devices/") {
		v.Back, v.BackText = localPath(d), "Back to the PBX"
	}
	pg := page{Title: v.Title, Data: v}
	if f.Code != fault.Internal {
		pg.Who = c.whoIs(r, p) // on a bad day not even that may work
	}
	b, err := c.render("error", pg)
	if err != nil {
		c.log.Error("render the error page", zap.Error(err))
		b = bytes.NewBufferString("internal error")
	}
	w.Header().Del("Set-Cookie")
	_ = w.send(v.Status, b)
}

func errorTitle(c fault.Code) string {
	switch fault.Status(c) {
	case http.StatusNotFound:
		return "Not found"
	case http.StatusForbidden:
		return "Not allowed"
	case http.StatusTooManyRequests:
		return "Too many requests"
	case http.StatusServiceUnavailable:
		return "Not available now"
	case http.StatusInternalServerError:
		return "Something went wrong"
	}
	return "That did not work"
}

func retryAfter(h http.Header, d time.Duration) {
	h.Set("Retry-After", strconv.Itoa(int(math.Ceil(d.Seconds()))))
}

// nothingHere is public, so that no address tells by a sign-in form whether it
// exists; to a signed-in person it shows the way on.
func (c *console) nothingHere(w *response, r *http.Request) error {
	p, err := c.enter(r)
	if err != nil {
		p = nobody
	}
	w.user = p.User
	c.fail(w, r, p, fault.New(fault.NotFound, "There is no such page."))
	return nil
}

// messageOf is what a person may read of err.
func messageOf(err error) string {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f.Message
	}
	return "Something went wrong on our side."
}

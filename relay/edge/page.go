package edge

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

// pages renders what the relay itself says to a browser.
type pages struct {
	page    *template.Template
	console string
	policy  string // Content-Security-Policy
}

// newPages panics on a template that does not parse: it is part of the program.
func newPages(console string) *pages {
	sum := sha256.Sum256([]byte(pageCSS))
	return &pages{
		page:    template.Must(template.New("page").Parse(pageHTML)),
		console: console,
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	}
}

// view is what the template shows.
type view struct {
	Style                 template.CSS
	Continue              string // a path on the site; "": there is nothing to continue
	Title, Message, Since string
	Do                    string
	Console               string
	Code                  fault.Code
	Ref                   string
}

// texts are titles and, where the fault's own message does not say it, what to do.
var texts = map[fault.Code][2]string{
	fault.UnknownHost:     {"No such address", "Check the address, or open the PBX from the console."},
	fault.UnknownSite:     {"No such PBX", "The PBX may have been removed. The console lists those there are."},
	fault.HostMismatch:    {"Wrong connection for this address", "Close this window and open the address again."},
	fault.VisitNeeded:     {"Open this PBX from the console", "Sign in to the console, find the PBX and click Visit."},
	fault.VisitEnded:      {"This visit has ended", ""},
	fault.EndedByStaff:    {"This visit was ended", "One of the provider's people ended it: you, or an owner or admin."},
	fault.EndedByVisitor:  {"You have ended this visit", ""},
	fault.VisitIdle:       {"This visit has ended", ""},
	fault.VisitExpired:    {"This visit has ended", ""},
	fault.AccessWithdrawn: {"You may not visit this PBX any more", ""},
	fault.DeviceRemoved:   {"This PBX was removed", ""},
	fault.AccountRemoved:  {"This PBX was removed", ""},
	fault.Restored:        {"This visit has ended", "Sign in to the console anew: sessions ended too."},
	fault.VisitWrongSite:  {"This visit is for another PBX", "Click Visit in the console for this PBX."},
	fault.HandoverInvalid: {"This link is not valid", "A visit's link works for one minute. Click Visit in the console again."},
	fault.HandoverUsed:    {"This link has been used", "A visit's link works once. Click Visit in the console again."},
	fault.CrossSite:       {"Request refused", "Open the PBX from the console."},
	fault.NotConnected:    {"The PBX is not connected", "Check that it has power and reaches the Internet. This page works again as soon as it is back."},
	fault.NotReady:        {"The PBX is not ready yet", "Reload this page in a moment."},
	fault.PortalRefused:   {"The PBX's web portal cannot be reached", "The PBX is connected, but its web server does not accept connections. Check that it runs."},
	fault.PortalTimeout:   {"The PBX's web portal does not answer", "The PBX is connected, but its web server is too slow. Reload this page in a while."},
	fault.PortalGarbage:   {"The PBX's web portal answers nonsense", "Check the portal's address and port in the agent's configuration."},
	fault.PortalReset:     {"The PBX's web portal broke off", "Reload this page. If that does not help, check the PBX's web server."},
	fault.HeadersTooLarge: {"Too many cookies", "Delete this address's cookies and open the PBX from the console again."},
	fault.ExpectFailed:    {"The request expects too much", ""},
	fault.Draining:        {"One moment", "Reload this page."},
	fault.NotHere:         {"One moment", "The PBX is moving between relays. Reload this page."},
	fault.RelayAway:       {"The PBX's relay cannot be reached", "Reload this page in a few seconds. If that does not help, the operator has to look at the network between the relays."},
	fault.RelayLost:       {"The PBX's relay was lost", "Reload this page in a few seconds: the PBX connects to another relay by itself."},
	fault.Loop:            {"Something went wrong on our side", "Try again. If it stays, give the reference below to the operator."},
	fault.TooMany:         {"Too many requests", "Wait a moment and reload this page."},
	fault.NotFound:        {"Nothing here", ""},
	fault.Unavailable:     {"Not available at the moment", "Try again in a moment."},
	fault.Internal:        {"Something went wrong on our side", "Try again. If it stays, give the reference below to the operator."},
	fault.HelloTimeout:    {"The request took too long", "Reload this page."},
	fault.Invalid:         {"The request is malformed", ""},
	fault.EndedByPBX:      {"This visit was ended at the PBX", "The PBX's own staff ended it. Ask them before you click Visit in the console again."},
	fault.Forbidden:       {"Not allowed on this PBX", "Use the account login, or ask the PBX's staff to switch passwordless login on, on its Remote Management page."},
	fault.RolesSwapped:    {"The PBX's servers have swapped roles", "Continue, and sign in there as you did here. A visit that needed no password needs a new one: open the PBX from the console again."},
	fault.LoginFailed:     {"The PBX did not let you in", "Use the account login meanwhile, and check portal.login in the agent's configuration on the PBX."},
}

// reasons say why a tunnel is down.
var reasons = map[fault.Code]string{
	fault.PeerSilent: "it stopped answering", fault.ConnectionLost: "its connection was lost", fault.AgentStopped: "its agent was stopped",
	fault.RelayLost: "the relay it was connected to was lost", fault.DeviceRemoved: "it was removed", fault.Draining: "it is moving to another relay",
	fault.RemoteOff: "remote access was switched off on it",
}

// refuse answers with a page for people and a problem document for programs.
func (x *exchange) refuse(err error) {
	f, ok := err.(*fault.Error) //nolint:errorlint // what wraps a fault is for the log, not for the browser
	if !ok {
		x.err = err // the log gets what the browser does not
		ok = errors.As(err, &f)
	}
	if !ok {
		f = fault.New(fault.Internal, "Something went wrong on our side.")
	}
	x.code, x.ref, x.status = f.Code, id.Ref(), fault.Status(f.Code)
	if x.unread() {
		x.mustClose()
		x.c.linger = true
	}
	since := ""
	if f.Code == fault.NotConnected {
		since = sinceWhen(x.route, time.Now())
	}
	body, mime := x.e.pages.problem(f, x.ref, since), "application/problem+json"
	if x.wantsPage() {
		body, mime = x.e.pages.html(f, x.ref, since, x.next), "text/html; charset=utf-8"
	}
	fields := [][2]string{
		{"Content-Type", mime}, {"Cache-Control", "no-store"}, {"Content-Security-Policy", x.e.pages.policy},
		{"X-Content-Type-Options", "nosniff"}, {"Referrer-Policy", "no-referrer"},
	}
	switch {
	case f.Retry > 0:
		fields = append(fields, [2]string{"Retry-After", strconv.Itoa(int((f.Retry + time.Second - 1) / time.Second))})
	case x.status == 503:
		fields = append(fields, [2]string{"Retry-After", "5"})
	}
	if x.ctx == nil {
		x.refusal = x.compose(fields, body)
		return
	}
	x.ctx.SetStatusCode(x.status)
	for _, f := range fields {
		x.ctx.Response.Header.Set(f[0], f[1])
	}
	x.ctx.SetBody(body)
}

// compose is a refusal as it is sent where fasthttp does not. Its request was a
// GET.
func (x *exchange) compose(fields [][2]string, body []byte) []byte {
	b := fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Length: %d\r\n", x.status, fasthttp.StatusMessage(x.status), len(body))
	for _, f := range fields {
		b = fmt.Appendf(b, "%s: %s\r\n", f[0], f[1])
	}
	if x.last {
		b = append(b, "Connection: close\r\n"...)
	}
	return append(append(b, "\r\n"...), body...)
}

// wantsPage tells a person's navigation from a program's request. What could
// not be parsed is taken for a person's.
func (x *exchange) wantsPage() bool {
	accept := len(x.req.fields) == 0
	for _, f := range x.req.fields {
		switch {
		case strings.EqualFold(string(f.name), "Sec-Fetch-Mode"):
			return string(f.value) == "navigate"
		case strings.EqualFold(string(f.name), "Accept"):
			accept = bytes.Contains(f.value, []byte("text/html"))
		}
	}
	return accept
}

func (p *pages) html(f *fault.Error, ref, since, next string) []byte {
	t, ok := texts[f.Code]
	if !ok {
		t = [2]string{"This did not work", ""}
	}
	var out bytes.Buffer
	v := view{Style: template.CSS(pageCSS), Title: t[0], Message: f.Message, Do: t[1], Since: since, Continue: next, Console: p.console, Code: f.Code, Ref: ref}
	if err := p.page.Execute(&out, v); err != nil {
		panic("BUG: page: " + err.Error())
	}
	return out.Bytes()
}

func (p *pages) problem(f *fault.Error, ref, since string) []byte {
	doc := fault.ProblemOf(f, ref)
	doc.Reference = ref
	doc.Detail = strings.TrimSpace(doc.Detail + " " + since)
	b, err := json.Marshal(doc)
	if err != nil {
		panic("BUG: problem: " + err.Error())
	}
	return b
}

// sinceWhen says how long the device has been away, and why.
func sinceWhen(r Route, now time.Time) string {
	if r.Since.IsZero() {
		return ""
	}
	at := r.Since.UTC().Format("15:04 UTC")
	if now.Sub(r.Since) > 20*time.Hour {
		at = r.Since.UTC().Format("2006-01-02 15:04 UTC")
	}
	s := fmt.Sprintf("Not connected since %s (%s)", at, ago(now.Sub(r.Since)))
	if why, ok := reasons[r.Down]; ok {
		return s + ": " + why + "."
	}
	return s + "."
}

func ago(d time.Duration) string {
	unit, n := "minute", int(d.Minutes())
	switch {
	case n < 1:
		return "less than a minute ago"
	case n >= 48*60:
		unit, n = "day", n/(24*60)
	case n >= 120:
		unit, n = "hour", n/60
	}
	if n == 1 {
		return "1 " + unit + " ago"
	}
	return fmt.Sprintf("%d %ss ago", n, unit)
}

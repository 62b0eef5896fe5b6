package edge

import (
	"bytes"
	"io"
	"strings"

	"github.com/valyala/fasthttp"

	"trunkline/internal/fault"
)

// The relay's own paths on a site. The rest is the portal's.
const (
	ownPath   = "/.trunkline"
	visitPath = "/.trunkline/visit"
	endPath   = "/.trunkline/end"

	maxHandoverForm = 4 << 10
)

func (x *exchange) isDoor() bool {
	rest, ok := bytes.CutPrefix(x.req.target, []byte(ownPath))
	return ok && (len(rest) == 0 || rest[0] == '/' || rest[0] == '?')
}

// door serves the relay's own paths.
func (x *exchange) door() error {
	x.what = "door"
	path, _, _ := bytes.Cut(x.req.target, []byte("?"))
	switch {
	case string(path) == visitPath && x.req.method == "POST":
		return x.redeem()
	case string(path) == visitPath && (x.req.method == "GET" || x.req.method == "HEAD"):
		return fault.New(fault.VisitNeeded, "A visit begins in the console: click Visit there.")
	case string(path) == endPath && x.req.method == "POST" && x.e.o.End != nil:
		return x.endVisit()
	}
	return fault.New(fault.NotFound, "There is nothing here.")
}

// redeem turns the handover that the console's page posts into a cookie.
func (x *exchange) redeem() error {
	if err := x.postedFrom(x.e.console); err != nil {
		return err
	}
	handover, err := x.handover()
	if err != nil {
		return err
	}
	g, err := x.e.o.Redeem(x.ctx, handover, x.site, x.remote)
	if err != nil {
		return err
	}
	x.guest = g
	set, to := x.forgetLogin(), "/"
	if x.passwordless() {
		l, err := x.signIn()
		if err != nil {
			return err
		}
		if g.Served != nil {
			g.Served(x.route.Device) // the sign-in is that device's alone
		}
		for _, c := range l.Cookies {
			if line := setCookieOf(c); line != "" {
				set = append(set, line)
			}
		}
		to, set = l.Location, append(set, rememberLogin(l.Cookies))
	}
	x.seeOther(to, g.Cookie, set)
	return nil
}

// postedFrom refuses a form that another site made the browser send: with it
// a stranger could put a person into the stranger's own visit. Every browser
// says where a POST comes from; a program that says nothing has no cookies to
// be misused.
func (x *exchange) postedFrom(origin string) error {
	said, fetched := "", false
	for _, f := range x.req.fields {
		if f.kind == kOrigin {
			said = string(f.value)
		}
		fetched = fetched || strings.EqualFold(string(f.name), "Sec-Fetch-Site")
	}
	if strings.EqualFold(said, origin) || said == "" && !fetched {
		return nil
	}
	x.mustClose() // the body is not read
	return fault.New(fault.CrossSite, "This was not sent by the console. Go there and click Visit.")
}

func (x *exchange) handover() (string, error) {
	x.c.linger = true // whatever is refused here may still be on its way
	mime, _, _ := strings.Cut(string(x.ctx.Request.Header.ContentType()), ";")
	if !strings.EqualFold(strings.TrimSpace(mime), "application/x-www-form-urlencoded") {
		x.mustClose()
		return "", fault.New(fault.HandoverInvalid, "The handover must be posted as a form.")
	}
	var body []byte
	if s := x.ctx.RequestBodyStream(); s != nil {
		var err error
		if body, err = io.ReadAll(io.LimitReader(s, maxHandoverForm+1)); err != nil || len(body) > maxHandoverForm {
			x.mustClose()
			return "", fault.New(fault.HandoverInvalid, "The handover is malformed.")
		}
	}
	x.c.linger = false
	x.in.Add(int64(len(body)))
	var form fasthttp.Args
	form.ParseBytes(body)
	if !form.Has("handover") {
		return "", fault.New(fault.HandoverInvalid, "The handover is missing. Go back to the console and click Visit again.")
	}
	return string(form.Peek("handover")), nil
}

// endVisit ends the visitor's own visit and forgets its cookie.
func (x *exchange) endVisit() error {
	if err := x.postedFrom("https://" + string(x.req.host)); err != nil {
		return err
	}
	if err := x.admitOrAsk(); err != nil {
		return err
	}
	x.e.o.End(x.guest.Visit, fault.EndedByVisitor)
	x.seeOther(x.e.o.ConsoleURL, "", x.forgetLogin())
	return nil
}

// seeOther answers a post with a redirect and sets the visit cookie, and those
// of the portal's that set has.
func (x *exchange) seeOther(to, cookie string, set []string) {
	h := &x.ctx.Response.Header
	x.ctx.SetStatusCode(fasthttp.StatusSeeOther)
	h.Set("Location", to)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	line := appendSetVisit(nil, cookie)
	h.Add("Set-Cookie", string(line[len("Set-Cookie: "):len(line)-2]))
	for _, v := range set {
		h.Add("Set-Cookie", v)
	}
	x.status, x.begun = fasthttp.StatusSeeOther, true
}

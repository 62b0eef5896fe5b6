package edge

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/token"
	"trunkline/internal/tunnel"
)

// signInTime is more than an agent takes (PROTOCOL.md, Services).
const signInTime = 25 * time.Second

// signIn has the agent sign the visitor in at the portal, before the browser
// is let in. A visit that cannot be is over.
func (x *exchange) signIn() (tunnel.Login, error) {
	l, err := x.askLogin()
	if err != nil && x.e.o.End != nil {
		x.e.o.End(x.guest.Visit, fault.CodeOf(err))
	}
	return l, err
}

func (x *exchange) askLogin() (tunnel.Login, error) {
	if x.e.o.Login == nil {
		return tunnel.Login{}, fault.New(fault.Forbidden, "This relay does not sign visitors in.")
	}
	if err := x.findRoute(); err != nil {
		return tunnel.Login{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), signInTime)
	defer cancel()
	l, err := x.e.o.Login(ctx, x.route.Device, x.guest.Visit)
	if err == nil && l.Valid() != nil {
		err = fault.New(fault.LoginFailed, "What the agent answered is no sign-in.")
	}
	return l, err
}

// passwordless reports whether the guest is to be signed in.
func (x *exchange) passwordless() bool { return x.guest.Visit.Method == token.MethodPasswordless }

// setCookieOf is a cookie of the portal's as a Set-Cookie value for the site:
// what appendSetCookie would have made of the portal's own.
func setCookieOf(c tunnel.Cookie) string {
	b := append(append([]byte(c.Name), '='), c.Value...)
	path := c.Path
	if path == "" {
		path = "/"
	}
	b = append(append(b, "; Path="...), path...)
	if c.MaxAge != 0 {
		b = strconv.AppendInt(append(b, "; Max-Age="...), int64(max(c.MaxAge, 0)), 10)
	}
	if c.Secure || c.SameSite == "none" {
		b = append(b, "; Secure"...)
	}
	if c.HTTPOnly {
		b = append(b, "; HttpOnly"...)
	}
	if s, ok := sameSites[c.SameSite]; ok {
		b = append(append(b, "; SameSite="...), s...)
	}
	return string(appendSetCookie(nil, b))
}

var sameSites = map[string]string{"strict": "Strict", "lax": "Lax", "none": "None"}

// Who was signed in by us must not stay so in the next visit, which may be one
// by account: the browser remembers, in a cookie of ours, which of the portal's
// cookies came by a sign-in, and every door that a visit begins or ends at
// takes them back.
const loginCookie = ownCookies + "login"

const maxLoginCookie = 2 << 10

// rememberLogin is the cookie that names cs. It comes back with the console's
// form, which is another site's where sites have no domain in common.
func rememberLogin(cs []tunnel.Cookie) string {
	var names [][2]string
	size := 0
	for _, c := range cs {
		if size += len(c.Name) + len(c.Path) + 8; size > maxLoginCookie*3/4 {
			break
		}
		names = append(names, [2]string{c.Name, c.Path})
	}
	b, err := json.Marshal(names)
	if err != nil {
		panic("BUG: login cookie: " + err.Error())
	}
	return loginCookie + "=" + base64.RawURLEncoding.EncodeToString(b) + "; Path=/; Secure; HttpOnly; SameSite=None"
}

// forgetLogin is the Set-Cookie values that take back what rememberLogin named.
func (x *exchange) forgetLogin() []string {
	value := ""
	for _, f := range x.req.fields {
		if v, ok := cookieNamed(f.value, loginCookie); ok && f.kind == kCookie {
			value = v
			break
		}
	}
	if value == "" || len(value) > maxLoginCookie {
		return nil
	}
	var names [][2]string
	b, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil || json.Unmarshal(b, &names) != nil {
		return nil
	}
	out := []string{loginCookie + "=; Path=/; Secure; HttpOnly; SameSite=None; Max-Age=0"}
	var l tunnel.Login
	for _, n := range names {
		l.Cookies = append(l.Cookies, tunnel.Cookie{Name: n[0], Path: n[1], MaxAge: -1, Secure: true})
	}
	if l.Location = "/"; l.Valid() != nil {
		return out // a browser may send anything
	}
	for _, c := range l.Cookies {
		if line := setCookieOf(c); line != "" && !strings.HasPrefix(c.Name, ownCookies) {
			out = append(out, line)
		}
	}
	return out
}

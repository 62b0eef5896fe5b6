package api

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
)

const (
	callTimeout  = 30 * time.Second // fleet's time for one request
	maxTokenSize = 512
)

// sessions is the part of Fleet that knows who somebody is.
type sessions interface {
	SignIn(ctx context.Context, email, password string, remote netip.Addr) (fleet.Session, error)
	Authenticate(ctx context.Context, token string) (fleet.Principal, error)
	SignOut(context.Context, fleet.Principal) error
}

// door is the one way to an endpoint: authenticated unless the table says
// public, and with the scope that the row names, before anything of the request
// is parsed.
func (a *api) door(rt route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		x := w.(*exchange)
		if err := a.serve(x, r, rt); err != nil {
			x.refuse(err)
		}
	}
}

// serve answers r, or errs with why not.
func (a *api) serve(x *exchange, r *http.Request, rt route) error {
	who, err := a.admit(x, r, rt)
	if err != nil {
		return err
	}
	in, err := rt.read(x, r)
	if err != nil {
		return err
	}
	if rt.stream != nil {
		return rt.stream(x, r, who, in)
	}
	key := ""
	if rt.creates {
		if key, err = idempotencyKey(r.Header); err != nil {
			return err
		}
	}
	serve := func() (answer, error) { return rt.serve(r.Context(), who, in) }
	var ans answer
	if key == "" {
		ans, err = serve()
	} else {
		ans, err = a.once(x, r, who, key, serve)
	}
	if err != nil {
		return err
	}
	x.answer(r, ans)
	return nil
}

func (rt route) serve(ctx context.Context, who fleet.Principal, in any) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := rt.call(ctx, who, in)
	if err != nil {
		return answer{}, err
	}
	return answerOf(rt, out)
}

// admit says who sends r, if that one may pass.
func (a *api) admit(x *exchange, r *http.Request, rt route) (fleet.Principal, error) {
	remote := remoteOf(r)
	if rt.public() {
		return fleet.Principal{Remote: remote}, a.limits.stranger(x.Header(), rt, remote)
	}
	who, err := a.authenticate(r)
	if unknown(err) {
		if limited := a.limits.stranger(x.Header(), rt, remote); limited != nil {
			return fleet.Principal{}, limited
		}
	}
	if err != nil {
		return fleet.Principal{}, err
	}
	x.who = who
	if err := a.limits.user(x.Header(), who); err != nil {
		return fleet.Principal{}, err
	}
	return who, mayPass(x, who, rt.scope)
}

// mayPass holds an API token to its scopes (RFC 6750, section 3.1).
func mayPass(x *exchange, who fleet.Principal, scope string) error {
	switch {
	case who.Token == "" || scope == anyToken:
		return nil
	case scope == sessionOnly:
		return fault.New(fault.Scope, "No API token can do this. Sign in.")
	case !who.MayScope(scope):
		x.Header().Set("WWW-Authenticate", `Bearer realm="trunkline", error="insufficient_scope", scope="`+scope+`"`)
		return fault.New(fault.Scope, "This API token lacks the scope %s.", scope)
	}
	return nil
}

// authenticate says who sends r.
func (a *api) authenticate(r *http.Request) (fleet.Principal, error) {
	token, err := bearer(r.Header)
	if err != nil {
		return fleet.Principal{}, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	who, err := a.fleet.Authenticate(ctx, token)
	if err != nil {
		return fleet.Principal{}, err
	}
	if who.User == "" {
		panic("BUG: Authenticate let nobody in")
	}
	who.Remote = remoteOf(r)
	return who, nil
}

// bearer is the token of the Authorization header (RFC 6750, section 2.1).
func bearer(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return "", fault.New(fault.SignInNeeded, "Sign in by POST /api/v1/sessions and send its token as: Authorization: Bearer <token>.")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxTokenSize {
		return "", fault.New(fault.SignInNeeded, "Send exactly one header: Authorization: Bearer <token>.").In("Authorization")
	}
	return token, nil
}

// remoteOf is the address of the other end of the connection. What
// X-Forwarded-For says is anybody's word and is not looked at.
func remoteOf(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

package pbxsim

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	sessionCookie = "pbx_session"
	guardCookie   = "pbx_guard" // what the sign-in form's token is bound to
	maxSessions   = 1000
	sessionIdle   = 15 * time.Minute // "Auto Logout Time" of the appliance
	maxForm       = 16 << 10
	tokenField    = "csrf"
	tokenHeader   = "X-CSRF-Token"
	personField   = "on_behalf_of" // of the sign-in form, for programs
	maxPerson     = 256
)

type role int

const (
	administrator role = iota
	superAdministrator
)

func (r role) String() string {
	if r == superAdministrator {
		return "Super administrator"
	}
	return "Administrator"
}

type session struct {
	Name   string
	Person string // who acts by the account, if that was said
	Role   role
	CSRF   string
	seen   time.Time
}

// Who is for the operation log.
func (s session) Who() string {
	if s.Person == "" {
		return s.Name
	}
	return s.Name + " for " + s.Person
}

func (s session) Super() bool { return s.Role == superAdministrator }

type sessions struct {
	key []byte // of the sign-in form's tokens

	mu sync.Mutex
	m  map[string]session
}

func newSessions() *sessions {
	return &sessions{key: []byte(rand.Text()), m: make(map[string]session)}
}

// open makes room by ending the session that was idle longest.
func (s *sessions) open(name, person string, r role, now time.Time) (token string) {
	token = rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.m) >= maxSessions {
		oldest := ""
		for t, v := range s.m {
			if oldest == "" || v.seen.Before(s.m[oldest].seen) {
				oldest = t
			}
		}
		delete(s.m, oldest)
	}
	s.m[token] = session{Name: name, Person: person, Role: r, CSRF: rand.Text(), seen: now}
	return token
}

func (s *sessions) of(r *http.Request, now time.Time) (session, bool) {
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return session{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.m[c.Value]
	if !ok {
		return session{}, false
	}
	if now.Sub(v.seen) > sessionIdle {
		delete(s.m, c.Value)
		return session{}, false
	}
	v.seen = now
	s.m[c.Value] = v
	return v, true
}

func (s *sessions) close(r *http.Request) {
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, c.Value)
}

// formToken is bound to the guard cookie: who did not get the form from us in
// this browser cannot post it.
func (s *sessions) formToken(guard string) string {
	h := hmac.New(sha256.New, s.key)
	h.Write([]byte(guard))
	return hex.EncodeToString(h.Sum(nil))
}

func (p *Portal) serveSignIn(w http.ResponseWriter, r *http.Request) {
	if _, ok := p.sessionOf(r); ok {
		http.Redirect(w, r, p.absolute(r, "/"), http.StatusFound)
		return
	}
	p.signInPage(w, r, http.StatusOK, "", "")
}

func (p *Portal) signInPage(w http.ResponseWriter, r *http.Request, status int, name, message string) {
	var guard string
	if c, err := r.Cookie(guardCookie); err == nil {
		guard = c.Value
	} else {
		guard = rand.Text()
		domain := hostName(r.Host)
		if strings.Contains(domain, ":") {
			domain = "" // an IPv6 address is no domain to net/http
		}
		http.SetCookie(w, &http.Cookie{
			Name: guardCookie, Value: guard, Domain: domain, Path: "/",
			HttpOnly: true, Secure: p.cfg.TLS, SameSite: http.SameSiteLaxMode,
		})
	}
	p.render(w, status, "login", view{
		Title: "Sign in", CSRF: p.sessions.formToken(guard), Name: name, Message: message,
		Next: localPath(r.FormValue("next")),
	})
}

func (p *Portal) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		p.refuse(w, r, http.StatusBadRequest, "The form could not be read", "Go back to the sign-in page and try again.")
		return
	}
	guard, err := r.Cookie(guardCookie)
	if err != nil || !hmac.Equal([]byte(p.sessions.formToken(guard.Value)), []byte(r.PostFormValue(tokenField))) {
		p.signInPage(w, r, http.StatusForbidden, "", "The sign-in form had expired, or your browser did not send its cookie. Please try again.")
		return
	}
	name := r.PostFormValue("username")
	token, in, ok := p.admit(name, r.PostFormValue("password"), clip(r.PostFormValue(personField), maxPerson))
	if !ok {
		p.ops.add(r, clip(name, 64), "Sign-in refused: wrong username or password")
		p.signInPage(w, r, http.StatusForbidden, clip(name, 64), "Wrong username or password.")
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: token, Path: "/",
		HttpOnly: true, Secure: p.cfg.TLS, SameSite: http.SameSiteLaxMode,
	})
	p.ops.add(r, in.Who(), "Signed in as "+in.Role.String())
	http.Redirect(w, r, p.absolute(r, localPath(r.PostFormValue("next"))), http.StatusSeeOther)
}

// admit opens a session for whose name and password these are. The person is
// taken of the super administrator's alone, an account that several may share.
func (p *Portal) admit(name, password, person string) (token string, in session, ok bool) {
	p.remote.mu.Lock()
	defer p.remote.mu.Unlock()
	r, ok := p.account(name, password)
	if !ok {
		return "", session{}, false
	}
	if r != superAdministrator {
		person = ""
	}
	return p.sessions.open(name, person, r, time.Now()), session{Name: name, Person: person, Role: r}, true
}

// account compares with all accounts whatever the name is, so that time says
// nothing about which names exist. The remote account's mu is held.
func (p *Portal) account(name, password string) (role, bool) {
	super := p.cfg.SuperAdmin != "" && same(name, p.cfg.SuperAdmin)&same(password, p.cfg.SuperPassword) == 1
	admin := p.cfg.Admin != "" && same(name, p.cfg.Admin)&same(password, p.cfg.AdminPassword) == 1
	remote := p.remote.is(name, password)
	if super {
		return superAdministrator, true
	}
	return administrator, admin || remote
}

func same(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}

func (p *Portal) signOut(w http.ResponseWriter, r *http.Request, s session) {
	p.sessions.close(r)
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Path: "/", MaxAge: -1, HttpOnly: true, Secure: p.cfg.TLS})
	p.ops.add(r, s.Who(), "Signed out")
	http.Redirect(w, r, p.absolute(r, "/login"), http.StatusSeeOther)
}

// sessionOf is the session of a cookie, or of the header that is trusted.
func (p *Portal) sessionOf(r *http.Request) (session, bool) {
	if s, ok := p.trusted(r); ok {
		return s, true
	}
	return p.sessions.of(r, time.Now())
}

// trusted believes whoever is on this machine.
func (p *Portal) trusted(r *http.Request) (session, bool) {
	h := p.cfg.TrustedHeader
	if h == "" || r.Header.Get(h) == "" || same(r.Header.Get(h), p.cfg.SuperAdmin) == 0 {
		return session{}, false
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !from.Addr().Unmap().IsLoopback() {
		return session{}, false
	}
	s := session{Name: p.cfg.SuperAdmin, Role: superAdministrator}
	if p.cfg.PersonHeader != "" {
		s.Person = clip(r.Header.Get(p.cfg.PersonHeader), maxPerson)
	}
	s.CSRF = p.sessions.formToken("trusted " + s.Person)
	return s, true
}

type signedIn func(http.ResponseWriter, *http.Request, session)

// page sends a stranger to the sign-in page, and back here afterwards.
func (p *Portal) page(h signedIn) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s, ok := p.sessionOf(r)
		if !ok {
			to := "/login"
			if r.URL.Path != "/" {
				to += "?next=" + url.QueryEscape(r.URL.RequestURI())
			}
			http.Redirect(w, r, p.absolute(r, to), http.StatusFound)
			return
		}
		h(w, r, s)
	}
}

// data is for what scripts ask for: a stranger gets 401, not a page.
func (p *Portal) data(h signedIn) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s, ok := p.sessionOf(r)
		if !ok {
			w.Header().Set("WWW-Authenticate", `Cookie realm="pbx"`)
			http.Error(w, "Sign in to the portal first.", http.StatusUnauthorized)
			return
		}
		h(w, r, s)
	}
}

// form is for small forms: signed in, and with the session's token.
func (p *Portal) form(h signedIn) http.HandlerFunc {
	return p.data(func(w http.ResponseWriter, r *http.Request, s session) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil || !tokenIs(s, r.PostFormValue(tokenField)) {
			p.refuse(w, r, http.StatusForbidden, "The form had expired", "Reload the page and send the form again.")
			return
		}
		h(w, r, s)
	})
}

func tokenIs(s session, token string) bool { return hmac.Equal([]byte(s.CSRF), []byte(token)) }

// localPath lets a redirect lead to a path of this portal and nowhere else.
func localPath(s string) string {
	if u, err := url.Parse(s); err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(s, "/") ||
		strings.HasPrefix(s, "//") || strings.ContainsAny(s, "\\\r\n\t") || strings.HasPrefix(s, "/login") {
		return "/"
	}
	return s
}

func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "?")
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}

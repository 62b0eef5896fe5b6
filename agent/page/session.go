package page

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"sync"
	"time"
)

const (
	cookieName  = "trunkline_page"
	sessionIdle = 30 * time.Minute // without a person's doing
	sessionLife = 12 * time.Hour
	maxSessions = 32 // the oldest makes room
)

// sessions are those that have signed in, by the hash of their cookie. They
// end with the process.
type sessions struct {
	mu   sync.Mutex
	open map[[sha256.Size]byte]*session
}

type session struct{ began, used time.Time }

func newSessions() *sessions { return &sessions{open: make(map[[sha256.Size]byte]*session)} }

// begin makes a session with a token of its own: one that a stranger planted in
// the browser is worth nothing.
func (s *sessions) begin() (token string) {
	b := make([]byte, 32)
	rand.Read(b)
	token = base64.RawURLEncoding.EncodeToString(b)
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range s.open {
		if v.over(now) {
			delete(s.open, k)
		}
	}
	if len(s.open) >= maxSessions {
		s.dropOldest()
	}
	s.open[sha256.Sum256([]byte(token))] = &session{began: now, used: now}
	return token
}

func (s *sessions) dropOldest() {
	var oldest [sha256.Size]byte
	var at time.Time
	for k, v := range s.open {
		if at.IsZero() || v.used.Before(at) {
			oldest, at = k, v.used
		}
	}
	delete(s.open, oldest)
}

func (v *session) over(now time.Time) bool {
	return now.Sub(v.used) > sessionIdle || now.Sub(v.began) > sessionLife
}

// valid tells whether token is of a session. byPerson counts as its use; what
// the page asks by itself does not.
func (s *sessions) valid(token string, byPerson bool) bool {
	now := time.Now()
	key := sha256.Sum256([]byte(token))
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.open[key]
	if v == nil {
		return false
	}
	if v.over(now) {
		delete(s.open, key)
		return false
	}
	if byPerson {
		v.used = now
	}
	return true
}

func (s *sessions) end(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, sha256.Sum256([]byte(token)))
}

func (s *sessions) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.open)
}

func (g *Page) signedIn(r *http.Request, byPerson bool) bool {
	c, err := r.Cookie(cookieName)
	return err == nil && g.sessions.valid(c.Value, byPerson)
}

// cookie is not Secure: there is no TLS on loopback, and browsers differ on
// whether they take such a cookie there.
func cookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{Name: cookieName, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteStrictMode}
}

package tunnel

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"trunkline/internal/fault"
)

// Services that a stream may ask for.
const (
	ServicePortal = "portal" // bytes to and from the PBX's web server
	ServiceLogin  = "login"  // the agent signs the visitor in, and answers with a Login
)

const (
	loginMax   = 32 << 10 // bytes of a Login on the wire
	cookiesMax = 32
	cookieMax  = 4096 // bytes of one: what browsers take (RFC 6265, section 6.1)
	pathMax    = 2048
)

// Login is what a visitor's browser needs to be signed in at the portal.
type Login struct {
	Cookies  []Cookie `json:"cookies"`
	Location string   `json:"location"` // a path at the portal, and nowhere else
}

// Cookie is one that the portal gave for its own host (RFC 6265, section 4.1).
type Cookie struct {
	Name     string `json:"name"`
	Value    string `json:"value"`
	Path     string `json:"path,omitempty"` // "": /
	Secure   bool   `json:"secure,omitempty"`
	HTTPOnly bool   `json:"http_only,omitempty"`
	SameSite string `json:"same_site,omitempty"` // strict, lax or none
	MaxAge   int    `json:"max_age,omitempty"`   // seconds; 0: until the browser is closed
}

// ReadLogin reads one from r up to its end. On error it returns nothing.
func ReadLogin(r io.Reader) (Login, error) {
	b, err := io.ReadAll(io.LimitReader(r, loginMax+1))
	if err != nil {
		return Login{}, fmt.Errorf("read login: %w", err)
	}
	var l Login
	if len(b) > loginMax || json.Unmarshal(b, &l) != nil {
		return Login{}, fault.New(fault.LoginFailed, "The agent's answer to the login is too long, or not the JSON it should be.")
	}
	if err := l.Valid(); err != nil {
		return Login{}, fault.New(fault.LoginFailed, "The agent's answer to the login is refused: %v.", err)
	}
	return l, nil
}

// WriteTo writes l in the form that ReadLogin reads.
func (l Login) WriteTo(w io.Writer) (int64, error) {
	if err := l.Valid(); err != nil {
		return 0, err
	}
	b, err := json.Marshal(l)
	if err != nil {
		return 0, fmt.Errorf("encode login: %w", err)
	}
	if len(b) > loginMax {
		return 0, fmt.Errorf("login: %w", errTooLong)
	}
	n, err := w.Write(b)
	return int64(n), err
}

// Valid keeps out what could break out of a header line or lead elsewhere.
func (l Login) Valid() error {
	if len(l.Cookies) > cookiesMax {
		return errors.New("too many cookies")
	}
	if !LocalPath(l.Location) {
		return errors.New("the location is no path at the portal")
	}
	for _, c := range l.Cookies {
		if err := c.valid(); err != nil {
			return err
		}
	}
	return nil
}

func (c Cookie) valid() error {
	switch {
	case c.Name == "" || strings.ContainsFunc(c.Name, notToken):
		return errors.New("a cookie has no name, or none that may be sent")
	case len(c.Name)+len(c.Value)+len(c.Path) > cookieMax:
		return errors.New("a cookie is too long")
	case strings.ContainsFunc(c.Value, notCookieOctet) || !utf8.ValidString(c.Value) || !utf8.ValidString(c.Path):
		return errors.New("a cookie's value has characters that may not be sent")
	case c.Path != "" && (c.Path[0] != '/' || strings.ContainsFunc(c.Path, notCookieOctet)):
		return errors.New("a cookie's path is none")
	case c.SameSite != "" && c.SameSite != "strict" && c.SameSite != "lax" && c.SameSite != "none":
		return errors.New("a cookie's same_site is none")
	}
	return nil
}

// notToken: RFC 9110, section 5.6.2.
func notToken(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
}

// notCookieOctet is milder than RFC 6265: spaces, commas, quotes and bytes
// beyond ASCII are in real portals' cookies, and harm nobody.
func notCookieOctet(r rune) bool { return r < ' ' || r == 0x7f || r == ';' }

// LocalPath reports whether a redirect to s stays on the origin it comes from,
// and is no path of the relay's own.
func LocalPath(s string) bool {
	return s != "" && s[0] == '/' && len(s) <= pathMax && !strings.HasPrefix(s, "//") && !strings.HasPrefix(s, "/.trunkline") &&
		!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' })
}

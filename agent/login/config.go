package login

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"unicode"

	"trunkline/internal/tunnel"
)

// Adapters.
const (
	None   = "none"   // nobody is let in without a password
	Header = "header" // a header that the portal trusts on loopback
	Form   = "form"   // the portal's own sign-in form
)

// Config is portal.login: how visitors of passwordless visits are signed in.
type Config struct {
	Adapter string       `yaml:"adapter"`
	Header  HeaderConfig `yaml:"header"`
	Form    FormConfig   `yaml:"form"`
}

// HeaderConfig is for a portal that believes what a request from its own
// machine says of who it is from.
type HeaderConfig struct {
	Name   string `yaml:"name"`   // the trusted header
	User   string `yaml:"user"`   // what is in it: the super administrator's name
	Person string `yaml:"person"` // a header with the visitor's name and e-mail, for the portal's log; "": none
	Start  string `yaml:"start"`  // where the visitor arrives; "": /
}

// FormConfig declares a portal's sign-in form. Paths are the portal's own.
type FormConfig struct {
	Page   string `yaml:"page"`   // fetched first, for its cookies and its token; "": nothing is
	Action string `yaml:"action"` // where the form is posted
	JSON   bool   `yaml:"json"`   // as one JSON object; else urlencoded

	User         string `yaml:"user"`          // the super administrator
	Password     string `yaml:"password"`      // better in a file
	PasswordFile string `yaml:"password_file"` // of mode 0600; one line, read at each sign-in

	UserField     string            `yaml:"user_field"`
	PasswordField string            `yaml:"password_field"`
	PersonField   string            `yaml:"person_field"` // gets the visitor's name and e-mail; "": the portal takes none
	TokenField    string            `yaml:"token_field"`  // an input of the page, whose value is posted too; "": none
	Fields        map[string]string `yaml:"fields"`       // further ones, as they are

	Success Success `yaml:"success"`
	Start   string  `yaml:"start"` // where the visitor arrives; "": /
}

// Success is how the portal's answer to the form looks if the visitor is in.
// All that is said must hold, and something must be.
type Success struct {
	Status   []int  `yaml:"status"`   // one of these; none: any below 400
	Location string `yaml:"location"` // how the redirect's path begins
	Cookie   string `yaml:"cookie"`   // is set
	Contains string `yaml:"contains"` // is in the body
	Lacks    string `yaml:"lacks"`    // is not
}

// Default lets nobody in.
func Default() Config {
	return Config{Adapter: None, Form: FormConfig{Fields: map[string]string{}, Success: Success{Status: []int{}}}}
}

// Validate names the key that is wrong.
func (c Config) Validate() error {
	switch c.Adapter {
	case "", None:
		return nil
	case Header:
		return named("header.", c.Header.check())
	case Form:
		return named("form.", c.Form.check())
	}
	return fmt.Errorf("adapter: %q is none of none, header, form", c.Adapter)
}

func named(part string, bad map[string]string) error {
	var errs []error
	for key, why := range bad {
		if why != "" {
			errs = append(errs, errors.New(part+key+": "+why))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

func (c HeaderConfig) check() map[string]string {
	bad := map[string]string{"name": headerName(c.Name), "start": path(c.Start, true)}
	if c.Person != "" {
		bad["person"] = headerName(c.Person)
	}
	switch {
	case c.User == "":
		bad["user"] = "missing"
	case headerValue(c.User) != c.User:
		bad["user"] = "has characters that no header can carry"
	case sameHeader(c.Name, c.Person):
		bad["person"] = "is the trusted header's name"
	}
	return bad
}

func (c FormConfig) check() map[string]string {
	bad := map[string]string{"action": path(c.Action, false), "page": path(c.Page, true), "start": path(c.Start, true)}
	for key, v := range map[string]string{"user": c.User, "user_field": c.UserField, "password_field": c.PasswordField} {
		if v == "" {
			bad[key] = "missing"
		}
	}
	if (c.Password == "") == (c.PasswordFile == "") {
		bad["password_file"] = "give it or password"
	}
	if c.TokenField != "" && c.Page == "" {
		bad["token_field"] = "needs page, where the token is"
	}
	s := c.Success
	if len(s.Status) == 0 && s.Location == "" && s.Cookie == "" && s.Contains == "" && s.Lacks == "" {
		bad["success"] = "say how it looks: status, location, cookie, contains or lacks"
	}
	if slices.ContainsFunc(s.Status, func(n int) bool { return n < 200 || n > 399 }) {
		bad["success.status"] = "need 200 to 399"
	}
	if s.Location != "" && s.Location[0] != '/' {
		bad["success.location"] = "need a path"
	}
	return bad
}

func path(s string, optional bool) string {
	if s == "" && optional || tunnel.LocalPath(s) {
		return ""
	}
	return "need a path of the portal's, as /login"
}

// headerName keeps away from what carries a request.
func headerName(s string) string {
	switch {
	case s == "":
		return "missing"
	case strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "":
		return "no header has this name"
	}
	switch textproto.CanonicalMIMEHeaderKey(s) {
	case "Host", "Connection", "Content-Length", "Transfer-Encoding", "Upgrade", "Cookie", "Te", "Trailer", "Expect", "Content-Type":
		return "this header has another use"
	}
	return ""
}

// headerValue is s as a header can carry it, in UTF-8.
func headerValue(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?")))
}

// sameHeader: to a portal on CGI a hyphen and an underscore are the same.
func sameHeader(a, b string) bool {
	return http.CanonicalHeaderKey(strings.ReplaceAll(a, "_", "-")) == http.CanonicalHeaderKey(strings.ReplaceAll(b, "_", "-"))
}

func start(s string) string {
	if s == "" {
		return "/"
	}
	return s
}

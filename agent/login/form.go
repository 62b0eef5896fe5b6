package login

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/ownfile"
	"trunkline/internal/tunnel"
)

const (
	signInTime  = 15 * time.Second // less than what a relay waits
	maxPage     = 1 << 20
	maxPassword = 1 << 10
)

// Dial connects to the portal. Its errors are faults for staff to read.
type Dial = func(context.Context) (net.Conn, error)

// Signer signs visitors in by the portal's form.
type Signer struct {
	c      FormConfig
	origin *url.URL
	dial   Dial

	patience patience
}

// NewSigner takes a Config that is valid. origin is the portal's, and dial
// reaches it, TLS included.
func NewSigner(c FormConfig, origin string, dial Dial) (*Signer, error) {
	u, err := url.Parse(origin)
	if err != nil {
		return nil, fmt.Errorf("portal's origin: %w", err)
	}
	s := &Signer{c: c, origin: u, dial: dial}
	_, err = s.password() // what would make every sign-in fail is said now
	return s, err
}

// password is the configured one, or the file's first line.
func (s *Signer) password() (string, error) {
	if s.c.PasswordFile == "" {
		return s.c.Password, nil
	}
	f, err := os.Open(s.c.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("password_file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("password_file: %w", err)
	}
	if ownfile.Readable(info) {
		return "", fmt.Errorf("password_file: %s: others may read it (mode %04o); `chmod 600` it", s.c.PasswordFile, info.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(f, maxPassword+1))
	line, _, _ := strings.Cut(string(b), "\n")
	line = strings.TrimSuffix(line, "\r")
	switch {
	case err != nil:
		return "", fmt.Errorf("password_file: %w", err)
	case line == "" || len(b) > maxPassword:
		return "", fmt.Errorf("password_file: %s: need one line with the password", s.c.PasswordFile)
	}
	return line, nil
}

// SignIn signs who in and gives what the browser needs. Its errors are faults.
func (s *Signer) SignIn(ctx context.Context, who string) (tunnel.Login, error) {
	ctx, cancel := context.WithTimeout(ctx, signInTime)
	defer cancel()
	t := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return s.dial(ctx) }
	t.DialTLSContext = t.DialContext
	a := &attempt{s: s, t: t}
	out, err := a.run(ctx, who)
	var f *fault.Error
	switch {
	case err == nil, errors.As(err, &f):
		return out, err
	case ctx.Err() != nil:
		return tunnel.Login{}, fault.New(fault.LoginFailed, "The PBX's portal did not answer the sign-in in time.")
	}
	return tunnel.Login{}, fault.New(fault.LoginFailed, "The PBX's portal broke off the sign-in.")
}

// attempt is one sign-in, with cookies of its own.
type attempt struct {
	s   *Signer
	t   *http.Transport
	jar jar
}

func (a *attempt) run(ctx context.Context, who string) (tunnel.Login, error) {
	c := a.s.c
	password, err := a.s.password()
	if err != nil {
		return tunnel.Login{}, fault.New(fault.LoginFailed, "The agent on the PBX cannot read the super administrator's password (portal.login.form.password_file).")
	}
	if err := a.s.patience.may(password, time.Now()); err != nil {
		return tunnel.Login{}, err
	}
	fields := maps.Clone(c.Fields)
	if fields == nil {
		fields = make(map[string]string)
	}
	if c.Page != "" {
		if err := a.openPage(ctx, fields); err != nil {
			return tunnel.Login{}, err
		}
	}
	fields[c.UserField], fields[c.PasswordField] = c.User, password
	if c.PersonField != "" {
		fields[c.PersonField] = who
	}
	resp, body, err := a.post(ctx, fields) //nolint:bodyclose // do has read and closed it
	if err != nil {
		return tunnel.Login{}, err
	}
	why := c.Success.lacking(resp, body)
	a.s.patience.heard(password, why == "", time.Now())
	if why != "" {
		return tunnel.Login{}, fault.New(fault.LoginFailed, "The PBX's portal did not let the super administrator in: %s.", why)
	}
	return tunnel.Login{Cookies: a.jar.given(), Location: start(c.Start)}, nil
}

// openPage gets the page's cookies and its token.
func (a *attempt) openPage(ctx context.Context, fields map[string]string) error {
	c := a.s.c
	resp, body, err := a.do(ctx, http.MethodGet, c.Page, nil, "") //nolint:bodyclose // do has read and closed it
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fault.New(fault.LoginFailed, "The PBX's sign-in page answered %d.", resp.StatusCode)
	}
	if c.TokenField == "" {
		return nil
	}
	token, ok := inputValue(body, c.TokenField)
	if !ok {
		return fault.New(fault.LoginFailed, "The PBX's sign-in page has no input %q (portal.login.form.token_field).", c.TokenField)
	}
	fields[c.TokenField] = token
	return nil
}

func (a *attempt) post(ctx context.Context, fields map[string]string) (*http.Response, []byte, error) {
	if a.s.c.JSON {
		b, err := json.Marshal(fields)
		if err != nil {
			return nil, nil, err
		}
		return a.do(ctx, http.MethodPost, a.s.c.Action, b, "application/json")
	}
	form := make(url.Values, len(fields))
	for k, v := range fields {
		form.Set(k, v)
	}
	return a.do(ctx, http.MethodPost, a.s.c.Action, []byte(form.Encode()), "application/x-www-form-urlencoded")
}

// do makes one request as a browser at the portal would. Redirects are for the
// visitor's browser to follow.
func (a *attempt) do(ctx context.Context, method, path string, body []byte, mime string) (*http.Response, []byte, error) {
	ref, err := url.Parse(path)
	if err != nil {
		return nil, nil, err
	}
	u := a.s.origin.ResolveReference(ref)
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("User-Agent", "trunkline-agent")
	req.Header.Set("Accept", "text/html, application/json;q=0.9, */*;q=0.8")
	if mime != "" {
		req.Header.Set("Content-Type", mime)
		req.Header.Set("Origin", a.s.origin.String())
		req.Header.Set("Referer", a.s.origin.ResolveReference(&url.URL{Path: start(a.s.c.Page)}).String())
	}
	a.jar.send(req)
	resp, err := a.t.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	if err != nil {
		return nil, nil, err
	}
	a.jar.take(resp, time.Now())
	return resp, b, nil
}

// lacking says what of the declared success is missing; "" if nothing is.
func (s Success) lacking(resp *http.Response, body []byte) string {
	status := len(s.Status) == 0 && resp.StatusCode < 400
	for _, n := range s.Status {
		status = status || n == resp.StatusCode
	}
	switch {
	case !status:
		return fmt.Sprintf("it answered %d", resp.StatusCode)
	case s.Location != "" && !strings.HasPrefix(localLocation(resp), s.Location):
		return "it did not redirect to where it does on success"
	case s.Cookie != "" && !sets(resp, s.Cookie):
		return fmt.Sprintf("it set no cookie %q", s.Cookie)
	case s.Contains != "" && !bytes.Contains(body, []byte(s.Contains)):
		return "its answer lacks what it has on success"
	case s.Lacks != "" && bytes.Contains(body, []byte(s.Lacks)):
		return "its answer has what it lacks on success"
	}
	return ""
}

func localLocation(resp *http.Response) string {
	u, err := resp.Location()
	if err != nil || u.Host != resp.Request.URL.Host {
		return ""
	}
	return u.RequestURI()
}

func sets(resp *http.Response, name string) bool {
	for _, c := range resp.Cookies() {
		if c.Name == name && c.Value != "" && c.MaxAge >= 0 {
			return true
		}
	}
	return false
}

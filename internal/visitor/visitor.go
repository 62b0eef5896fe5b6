// Package visitor is a browser without a screen: it redeems a handover as the
// console's page does, keeps the visit's cookie, and fetches a site's pages.
// The demo, the tests and the benchmarks visit with it.
package visitor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"

	"github.com/coder/websocket"

	"trunkline/internal/controlapi"
)

const maxErrorPage = 64 << 10

// Visitor is one person in one site.
type Visitor struct {
	*http.Client        // has the cookie; follows no redirect
	Origin       string // https://<site>.<zone>[:port]
}

// New is a visitor that has no visit yet.
func New(conf *tls.Config, origin string) (*Visitor, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	return &Visitor{
		Origin: strings.TrimSuffix(origin, "/"),
		Client: &http.Client{
			Jar: jar, Transport: controlapi.NewTransport(conf),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Enter starts a visitor with a granted visit.
func Enter(ctx context.Context, conf *tls.Config, console string, start controlapi.VisitStart) (*Visitor, error) {
	u, err := url.Parse(start.URL)
	if err != nil {
		return nil, err
	}
	v, err := New(conf, u.Scheme+"://"+u.Host)
	if err != nil {
		return nil, err
	}
	resp, err := v.Redeem(ctx, console, start.URL, start.Handover)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusSeeOther {
		return nil, fmt.Errorf("redeem handover: %w", statusError(resp))
	}
	return v, nil
}

// Redeem posts a handover as a page of the console at URL console would, and
// returns whatever came back.
func (v *Visitor) Redeem(ctx context.Context, console, target, handover string) (*http.Response, error) {
	form := url.Values{"handover": {handover}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(form))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", strings.TrimSuffix(console, "/"))
	return v.Do(req)
}

// Fetch gets a page in full; an error status is an error.
func (v *Visitor) Fetch(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.Origin+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := v.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 400 {
		return nil, fmt.Errorf("GET %s: %w", path, statusError(resp))
	}
	return io.ReadAll(resp.Body)
}

// WebSocket opens one as a page of the site would.
func (v *Visitor) WebSocket(ctx context.Context, path string) (*websocket.Conn, error) {
	ws, resp, err := websocket.Dial(ctx, v.Origin+path, &websocket.DialOptions{
		HTTPClient: v.Client, HTTPHeader: http.Header{"Origin": {v.Origin}},
	})
	if err != nil && resp != nil && resp.Body != nil {
		defer resp.Body.Close()
		return nil, errors.Join(err, statusError(resp))
	}
	return ws, err
}

// StatusError is an answer that a visitor did not want.
type StatusError struct {
	Status int
	Type   string // Content-Type of Body
	Body   string
}

func (e *StatusError) Error() string { return fmt.Sprintf("status %d: %s", e.Status, e.Body) }

func statusError(resp *http.Response) error {
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorPage))
	if err != nil {
		return err
	}
	return &StatusError{Status: resp.StatusCode, Type: resp.Header.Get("Content-Type"), Body: string(b)}
}

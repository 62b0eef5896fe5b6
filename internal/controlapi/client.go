package controlapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"trunkline/internal/fault"
)

const (
	callTimeout    = 30 * time.Second // of a whole call, if the caller's context allows as much
	maxAnswerSize  = 4 << 20          // a page of 200 of anything is far below
	maxProblemSize = 64 << 10
	maxRetryHint   = time.Hour
)

// Client calls the API of one control. Its errors are *fault.Error when
// control, or a proxy before it, refused; anything else went wrong on the way
// and may be tried again. It is safe for concurrent use.
type Client struct {
	base  string
	token string
	match string // If-Match
	key   string // Idempotency-Key
	http  *http.Client
}

// NewClient makes a client of the control at base, for example
// "https://console.example.com". Plain HTTP is for loopback only: passwords
// and passes cross this line. hc may be nil; its redirects are never followed.
func NewClient(base string, hc *http.Client) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, errors.New("control's address: not a URL")
	}
	switch {
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("control's address: need https://host[:port] and nothing more")
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
	default:
		return nil, errors.New("control's address: need https")
	}
	c := http.Client{Transport: NewTransport(nil)}
	if hc != nil {
		c = *hc
	}
	// A redirect would carry a password wherever it points.
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.Timeout = 0 // it would cut Watch; calls are bounded by callTimeout
	return &Client{base: strings.TrimSuffix(u.String(), "/") + Base, http: &c}, nil
}

// WithToken is the same client on behalf of a session.
func (c *Client) WithToken(token string) *Client {
	d := *c
	d.token = token
	return &d
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback() || isLocalhost(host)
}

// IfMatch is the same client for one edit or removal: it is refused with
// changed_meanwhile if what etag stands for has been edited since. See Tagged.
func (c *Client) IfMatch(etag string) *Client {
	d := *c
	d.match = etag
	return &d
}

// Once is the same client for making one thing: a call that is repeated with
// the same key, since its answer was lost, makes nothing more and gets the
// first one's answer. The key is any text that is new for each thing.
func (c *Client) Once(key string) *Client {
	d := *c
	d.key = key
	return &d
}

// call makes one request and decodes its answer into out; in and out may be nil.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	resp, err := c.send(ctx, method, path, query, in, "application/json")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if t, ok := out.(interface{ setETag(etag string) any }); ok {
		out = t.setETag(resp.Header.Get("ETag"))
	}
	if out == nil {
		return nil
	}
	b, err := readBounded(resp.Body, maxAnswerSize)
	if err != nil {
		return fmt.Errorf("%s %s: read answer: %w", method, path, err)
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("%s %s: decode answer: %w", method, path, err)
	}
	return nil
}

// send returns a response that is a success and of type accept, with its body
// open, or an error.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, in any, accept string) (*http.Response, error) {
	body, kind, err := bodyOf(in)
	if err != nil {
		return nil, err
	}
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	req.Header.Set("User-Agent", "trunkline-client/1")
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if c.match != "" {
		req.Header.Set("If-Match", c.match)
	}
	if c.key != "" {
		req.Header.Set("Idempotency-Key", `"`+c.key+`"`)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	if err := refusal(resp, accept); err != nil {
		resp.Body.Close()
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return resp, nil
}

// bodyOf is in as a body and its type, nil and "" of nothing.
func bodyOf(in any) (io.Reader, string, error) {
	switch in := in.(type) {
	case nil:
		return nil, "", nil
	case text:
		return in.reader(), "text/plain", nil
	}
	b, err := json.Marshal(in)
	if err != nil {
		return nil, "", fmt.Errorf("encode request: %w", err)
	}
	return bytes.NewReader(b), "application/json", nil
}

// refusal is nil if resp is the answer asked for. A problem document becomes
// its fault. A proxy's own "try later" becomes unavailable.
func refusal(resp *http.Response, accept string) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode == http.StatusNoContent || resp.StatusCode/100 == 2 && kind == accept {
		return nil
	}
	after := retryAfter(resp.Header)
	if kind == "application/problem+json" {
		if f, ok := problem(resp.Body, after); ok {
			return f
		}
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return fault.New(fault.Unavailable, "Control cannot be reached: what stands before it answered %d.", resp.StatusCode).After(after)
	}
	return fmt.Errorf("status %d, type %q: this is not Trunkline's API", resp.StatusCode, kind)
}

func problem(body io.Reader, after time.Duration) (*fault.Error, bool) {
	b, err := readBounded(body, maxProblemSize)
	if err != nil {
		return nil, false
	}
	var p fault.Problem
	if json.Unmarshal(b, &p) != nil || p.Code == "" {
		return nil, false
	}
	p.RetryAfter = min(max(p.RetryAfter, 0), int(maxRetryHint/time.Second))
	f := p.Fault()
	if f.Retry == 0 {
		f = f.After(after)
	}
	if p.Reference != "" {
		f.Message += " Reference: " + p.Reference
	}
	return f, true
}

// retryAfter reads the header's form in seconds; the other form needs a clock
// that is right, which a PBX need not have.
func retryAfter(h http.Header) time.Duration {
	s, err := strconv.ParseUint(h.Get("Retry-After"), 10, 31)
	if err != nil {
		return 0
	}
	return min(time.Duration(s)*time.Second, maxRetryHint)
}

var errTooLarge = errors.New("larger than agreed")

func readBounded(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, errTooLarge
	}
	return b, nil
}

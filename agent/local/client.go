package local

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"

	"trunkline/agent/manage"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

const (
	helloTime = 3 * time.Second
	maxAnswer = 4 << 20
)

// Client is the command line's end.
type Client struct {
	line Line
	http *http.Client
}

var _ manage.Desk = (*Client)(nil)

// ErrNobody means that no agent answers at the line's address.
var ErrNobody = errors.New("the agent does not answer")

// Dial asks who answers at l.
func Dial(ctx context.Context, l Line) (*Client, error) {
	a, err := netip.ParseAddrPort(l.Address)
	if err != nil || !a.Addr().IsLoopback() || l.Token == "" {
		return nil, ErrNobody
	}
	c := &Client{line: l, http: &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true}, // and no proxy
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	ctx, cancel := context.WithTimeout(ctx, helloTime)
	defer cancel()
	var p proof
	nonce := rand.Text()
	if err := c.call(ctx, "/hello", "", hello{nonce}, &p); err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrNobody, err)
	}
	got, _ := hex.DecodeString(p.Proof)
	want, _ := hex.DecodeString(proofOf(l.Token, nonce))
	if subtle.ConstantTimeCompare(got, want) != 1 {
		return nil, ErrNobody
	}
	return c, nil
}

func (c *Client) View(ctx context.Context) (v manage.View, err error) {
	err = c.call(ctx, "/view", c.line.Token, struct{}{}, &v)
	return v, err
}

func (c *Client) Change(ctx context.Context, q manage.Change) error {
	return c.call(ctx, "/change", c.line.Token, q, nil)
}

func (c *Client) EndVisit(ctx context.Context, v id.Visit) error {
	return c.call(ctx, "/end-visit", c.line.Token, endVisit{v}, nil)
}

func (c *Client) ResetPage(ctx context.Context) error {
	return c.call(ctx, "/reset-page", c.line.Token, struct{}{}, nil)
}

func (c *Client) call(ctx context.Context, path, token string, in, out any) error {
	b, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.line.Address+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return refusal(resp.StatusCode, body)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return errors.New("agent: what answers there is none")
	}
	return nil
}

func refusal(status int, body []byte) error {
	var p fault.Problem
	if json.Unmarshal(body, &p) != nil || p.Code == "" {
		return fmt.Errorf("agent: status %d: what answers there is none", status)
	}
	return p.Fault()
}

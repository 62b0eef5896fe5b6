package load

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"trunkline/bench/portal"
)

const clientBuffer = 256 << 10

// Client makes the transfers: one connection, large buffers, nothing checked
// but how many bytes there were.
func (e Endpoint) Client(conf *tls.Config) *http.Client {
	conf = conf.Clone()
	conf.ServerName = e.Host
	d := &net.Dialer{}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return d.DialContext(ctx, network, e.address())
			},
			TLSClientConfig: conf, DisableCompression: true, ReadBufferSize: clientBuffer, WriteBufferSize: clientBuffer,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (e Endpoint) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, e.URL(path), body)
	if err != nil {
		return nil, err
	}
	for name, value := range e.Headers {
		req.Header.Set(name, value)
	}
	if host := e.Headers["Host"]; host != "" {
		req.Host = host
	}
	return req, nil
}

// Move carries n bytes one way on c, which has no other use.
func (e Endpoint) Move(ctx context.Context, c *http.Client, way string, n int64) error {
	defer c.CloseIdleConnections()
	if way == "up" {
		return e.upload(ctx, c, n)
	}
	return e.download(ctx, c, BytesPath(n), n)
}

// Fetch is one download on a connection of its own.
func (e Endpoint) Fetch(ctx context.Context, conf *tls.Config, path string, n int64) error {
	c := e.Client(conf)
	defer c.CloseIdleConnections()
	return e.download(ctx, c, path, n)
}

// download gets what must be a success of n bytes.
func (e Endpoint) download(ctx context.Context, c *http.Client, path string, n int64) error {
	req, err := e.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	got, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, make([]byte, clientBuffer))
	if err != nil {
		return fmt.Errorf("GET %s, after %d bytes: %w", path, got, err)
	}
	if got != n {
		return fmt.Errorf("GET %s: %d bytes came, not %d", path, got, n)
	}
	return nil
}

// upload sends what the portal must have got in full.
func (e Endpoint) upload(ctx context.Context, c *http.Client, n int64) error {
	req, err := e.request(ctx, http.MethodPost, "/upload", &Body{Left: n})
	if err != nil {
		return err
	}
	req.ContentLength = n
	req.Header.Set("Content-Type", "application/octet-stream")
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(string(b)); resp.StatusCode != http.StatusOK || got != strconv.FormatInt(n, 10) {
		return fmt.Errorf("upload of %d bytes: %s, and the portal says %q", n, resp.Status, got)
	}
	return nil
}

// Upload is a body that costs the client one copy.
type Body struct{ Left int64 }

func (b *Body) Read(p []byte) (int, error) {
	if b.Left == 0 {
		return 0, io.EOF
	}
	n := copy(p, portal.Filler[:min(b.Left, int64(len(portal.Filler)))])
	b.Left -= int64(n)
	return n, nil
}

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

const clientBuffer = 256 << 10

// client makes the transfers: one connection, large buffers, nothing checked
// but how many bytes there were.
func (e endpoint) client(conf *tls.Config) *http.Client {
	conf = conf.Clone()
	conf.ServerName = e.host
	d := &net.Dialer{}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return d.DialContext(ctx, network, loopback(e.port))
			},
			TLSClientConfig: conf, DisableCompression: true, ReadBufferSize: clientBuffer, WriteBufferSize: clientBuffer,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (e endpoint) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, e.url(path), body)
	if err != nil {
		return nil, err
	}
	for name, value := range e.headers {
		req.Header.Set(name, value)
	}
	if host := e.headers["Host"]; host != "" {
		req.Host = host
	}
	return req, nil
}

// fetch is one download on a connection of its own.
func (e endpoint) fetch(ctx context.Context, conf *tls.Config, path string, n int64) error {
	c := e.client(conf)
	defer c.CloseIdleConnections()
	return e.download(ctx, c, path, n)
}

// download gets what must be a success of n bytes.
func (e endpoint) download(ctx context.Context, c *http.Client, path string, n int64) error {
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

func (e endpoint) upload(ctx context.Context, c *http.Client, n int64) error {
	req, err := e.request(ctx, http.MethodPost, "/upload", &upload{left: n})
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

// upload is a body that costs the client one copy.
type upload struct{ left int64 }

func (u *upload) Read(b []byte) (int, error) {
	if u.left == 0 {
		return 0, io.EOF
	}
	n := copy(b, filler[:min(u.left, int64(len(filler)))])
	u.left -= int64(n)
	return n, nil
}

// drained reads a response to its end and makes an error of its status.
func drained(resp *http.Response) error {
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", resp.Status)
	}
	return nil
}

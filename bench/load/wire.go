package load

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// Wire is one kept connection to an Endpoint. It is no HTTP client for anybody
// else: it costs next to nothing, and how many requests it makes is exact.
// Whoever dialled it closes it; the end of the context that it was dialled with
// ends it too.
type Wire struct {
	e    Endpoint
	c    net.Conn
	stop func() bool
	r    *bufio.Reader
	head []byte // of the request that is sent, kept for its memory

	frame []byte // that came last, kept for its memory
}

const (
	wireBuffer  = 64 << 10
	wirePatient = time.Minute // for one answer
)

// Dial opens a connection as a browser does that speaks HTTP/1.1 only.
func (e Endpoint) Dial(ctx context.Context, conf *tls.Config) (*Wire, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", e.address())
	if err != nil {
		return nil, err
	}
	if e.Scheme == "https" {
		conf = conf.Clone()
		conf.ServerName, conf.NextProtos = e.Host, []string{"http/1.1"}
		secret := tls.Client(c, conf)
		if err := secret.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("handshake: %w", err), c.Close())
		}
		c = secret
	}
	return &Wire{e: e, c: c, r: bufio.NewReaderSize(c, wireBuffer), stop: context.AfterFunc(ctx, func() { c.Close() })}, nil
}

// Close ends the connection.
func (w *Wire) Close() error {
	w.stop()
	return w.c.Close()
}

// Send writes a request and its body, which may be nil.
func (w *Wire) Send(method, path string, length int64, body io.Reader, headers ...string) error {
	w.head = fmt.Appendf(w.head[:0], "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, w.host())
	for name, value := range w.e.Headers {
		if name != "Host" {
			w.head = fmt.Appendf(w.head, "%s: %s\r\n", name, value)
		}
	}
	for _, line := range headers {
		w.head = append(append(w.head, line...), "\r\n"...)
	}
	if body != nil {
		w.head = fmt.Appendf(w.head, "Content-Length: %d\r\n", length)
	}
	w.head = append(w.head, "\r\n"...)
	w.c.SetDeadline(time.Now().Add(wirePatient))
	if _, err := w.c.Write(w.head); err != nil || body == nil {
		return err
	}
	_, err := io.CopyBuffer(struct{ io.Writer }{w.c}, body, make([]byte, clientBuffer))
	return err
}

func (w *Wire) host() string {
	return cmp.Or(w.e.Headers["Host"], net.JoinHostPort(w.e.Host, w.e.Port))
}

var errWire = errors.New("the answer is not one that bench understands")

// answer reads a response's head: its status, and the length of its body.
func (w *Wire) answer() (status int, length int64, err error) {
	line, err := w.r.ReadSlice('\n')
	if err != nil {
		return 0, 0, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, 0, errWire
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, 0, errWire
	}
	length = -1
	for {
		if line, err = w.r.ReadSlice('\n'); err != nil {
			return 0, 0, err
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return status, length, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if !bytes.EqualFold(name, []byte("Content-Length")) {
			continue
		}
		if length, err = strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64); err != nil || length < 0 {
			return 0, 0, errWire
		}
	}
}

// Get is one request whose answer must be a success with a body of n bytes.
func (w *Wire) Get(path string, n int64) error {
	if err := w.Send("GET", path, 0, nil); err != nil {
		return err
	}
	return w.Success("GET "+path, n)
}

// Success reads the answer to what was sent: 200, with a body of n bytes.
func (w *Wire) Success(what string, n int64) error {
	status, length, err := w.answer()
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if status != 200 || length != n {
		return fmt.Errorf("%s: status %d with %d bytes, not 200 with %d", what, status, length, n)
	}
	if _, err := io.CopyN(io.Discard, w.r, length); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// GetMany makes exactly n requests, as many on each connection, one at a time.
func GetMany(wires []*Wire, n int, path string, size int64) error {
	var g errgroup.Group
	for _, w := range wires {
		g.Go(func() error {
			for range n / len(wires) {
				if err := w.Get(path, size); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// DialMany opens n connections, which HangUp closes.
func DialMany(ctx context.Context, e Endpoint, conf *tls.Config, n int) (wires []*Wire, err error) {
	for range n {
		w, err := e.Dial(ctx, conf)
		if err != nil {
			HangUp(wires)
			return nil, err
		}
		wires = append(wires, w)
	}
	return wires, nil
}

func HangUp(wires []*Wire) {
	for _, w := range wires {
		w.Close()
	}
}

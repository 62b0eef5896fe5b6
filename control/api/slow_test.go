package api_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"trunkline/internal/fault"
)

// pipes is a listener of in-memory connections, which run on a bubble's clock.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// Half a body and then silence costs us 15 seconds and no more, whether
// somebody waits for the body or net/http does after a refusal.
func TestBodyThatNeverComes(t *testing.T) {
	for request, want := range map[string]fault.Code{
		"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{\"email\":": fault.Invalid,
		"POST /api/v1/visits HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{":             fault.SignInNeeded,
	} {
		t.Run(string(want), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
				srv := &http.Server{Handler: newWorld(t)}
				served := make(chan error, 1)
				go func() { served <- srv.Serve(l) }()
				ours, theirs := net.Pipe()
				l.conns <- theirs
				start := time.Now()
				if _, err := io.WriteString(ours, request); err != nil {
					t.Fatal(err)
				}
				resp, err := http.ReadResponse(bufio.NewReader(ours), nil)
				if err != nil {
					t.Fatal(err)
				}
				var p fault.Problem
				if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || p.Code != want {
					t.Errorf("%+v, %v", p, err)
				}
				if took := time.Since(start); took > 16*time.Second {
					t.Errorf("answered after %s", took)
				}
				ours.Close()
				srv.Close()
				<-served
			})
		})
	}
}

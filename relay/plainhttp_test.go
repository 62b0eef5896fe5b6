package relay_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"trunkline/internal/testnet"
)

// http:// on the port of https:// is answered in its own language, and nothing
// else that is no TLS is answered at all. Each counts as a handshake that failed.
func TestPlainHTTP(t *testing.T) {
	s := newStage(t, nil)
	const failed = `trunkline_relay_connections_total{kind="failed"}`
	// said is what comes back for what is sent; whoever sends goes on until the
	// relay has ended its side.
	said := func(t *testing.T, send []byte, gone bool) []byte {
		t.Helper()
		before := s.metrics(t)[failed]
		c := s.connect(t)
		if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(send); err != nil && !broken(err) {
			t.Fatal(err)
		}
		if gone {
			if err := c.(*net.TCPConn).CloseWrite(); err != nil && !broken(err) {
				t.Fatal(err)
			}
		}
		got, err := io.ReadAll(c)
		if err != nil && !broken(err) {
			t.Errorf("the connection does not end: %v", err)
		}
		c.Close()
		testnet.Eventually(t, "it is counted, once", func() error {
			if n := s.metrics(t)[failed] - before; n != 1 {
				return fmt.Errorf("%g failed", n)
			}
			return nil
		})
		return got
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		got := said(t, []byte(method+" / HTTP/1.1\r\nHost: "+s.authority(s.pbx)+"\r\n\r\n"), false)
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(got)), nil)
		if err != nil {
			t.Errorf("%s: %q: %v", method, got, err)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusBadRequest || !resp.Close || !strings.Contains(string(body), "https://") || err != nil {
			t.Errorf("%s: %s, %q, %v", method, resp.Status, body, err)
		}
	}
	noise := make([]byte, 4096)
	rand.NewChaCha8([32]byte{3}).Read(noise)
	noise[0] = 0
	for name, c := range map[string]struct {
		send   string
		gone   bool
		answer bool
	}{
		"half a line":                 {"GET / HT", false, true},
		"half a line, then gone":      {"GET / HT", true, true},
		"less than a record's header": {"GET ", true, false},
		"nothing":                     {"", true, false},
		"a request of 8 MiB":          {"POST / HTTP/1.1\r\nContent-Length: 8388608\r\n\r\n" + strings.Repeat("x", 8<<20), false, true},
		"a header of 8 MiB":           {"GET /" + strings.Repeat("x", 8<<20), false, true},
		"binary":                      {string(noise), false, false},
		"no method":                   {"get / HTTP/1.1\r\n\r\n", false, false},
		"another protocol":            {"SSH-2.0-OpenSSH_9.6\r\n", false, false},
		"an answer":                   {"HTTP/1.1 200 OK\r\n\r\n", false, false},
		"HTTP/2 without TLS":          {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", false, false},
		"a method in a record":        {"\x16\x03\x01\x00\x05GET /", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			got := string(said(t, []byte(c.send), c.gone))
			if answered := strings.HasPrefix(got, "HTTP/"); answered != c.answer {
				// What was sent on is what resets the connection; the answer may go with it.
				if len(c.send) < 1<<20 {
					t.Errorf("answered %q", got)
				}
			}
		})
	}
	t.Run("a TLS that is too old is told so as ever", func(t *testing.T) {
		cfg := s.TLS.Clone()
		cfg.ServerName, cfg.MinVersion, cfg.MaxVersion = "localhost", tls.VersionTLS10, tls.VersionTLS11
		c, err := tls.Dial("tcp", s.Up.Relay.Addr().String(), cfg)
		if err == nil {
			c.Close()
			t.Fatal("it was taken")
		}
		if !strings.Contains(err.Error(), "protocol version not supported") { // the alert's name; its type is not exported
			t.Errorf("told: %v", err)
		}
	})
	testnet.Eventually(t, "none is under way", func() error {
		if n := s.metrics(t)["trunkline_relay_handshakes"]; n != 0 {
			return fmt.Errorf("%g handshakes", n)
		}
		return nil
	})
	s.bystander.goesOn(t, 2)
}

// broken is the end of a connection whose sender went on.
func broken(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

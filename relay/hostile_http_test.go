package relay_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/testnet"
	"trunkline/internal/visitor"
)

// open is a TLS connection to the public port.
func (s *stage) open(t *testing.T, sni string, alpn ...string) *tls.Conn {
	t.Helper()
	cfg := s.TLS.Clone()
	cfg.ServerName, cfg.NextProtos = sni, alpn
	d := tls.Dialer{Config: cfg}
	c, err := d.DialContext(t.Context(), "tcp", s.Up.Relay.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(testnet.Patience))
	return c.(*tls.Conn)
}

func (s *stage) host(p *testnet.PBX) string { return string(p.Site) + ".localhost" }

// authority is the Host of a PBX's site.
func (s *stage) authority(p *testnet.PBX) string { return s.host(p) + s.Up.Relay.SitePort() }

// cookie is a visitor's, as the Cookie field has it.
func (s *stage) cookie(t *testing.T, v *visitor.Visitor) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, v.Origin, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range v.Jar.Cookies(req.URL) {
		if strings.HasPrefix(c.Name, "__Host-") {
			s.secret("a visit's cookie", c.Value)
			return c.Name + "=" + c.Value
		}
	}
	t.Fatal("the visitor has no cookie")
	return ""
}

// answer is a response that has been read.
type answer struct {
	*http.Response
	body string
}

// say writes raw bytes and reads one answer to a GET, if there is any.
func say(c net.Conn, raw string) (answer, error) {
	if _, err := io.WriteString(c, raw); err != nil {
		return answer{}, err
	}
	return hear(bufio.NewReader(c), http.MethodGet)
}

func hear(r *bufio.Reader, method string) (answer, error) {
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		return answer{}, err
	}
	b, err := io.ReadAll(resp.Body)
	return answer{resp, string(b)}, err
}

var pageCode = regexp.MustCompile(`<code>([a-z_]+)</code>`)

// code is the fault's in an error page or a problem document.
func (a answer) code() fault.Code {
	if a.Response == nil {
		return ""
	}
	if m := pageCode.FindStringSubmatch(a.body); m != nil {
		return fault.Code(m[1])
	}
	var p fault.Problem
	if a.Header.Get("Content-Type") != "application/problem+json" || json.Unmarshal([]byte(a.body), &p) != nil || p.Status != a.StatusCode {
		return fault.Code(fmt.Sprintf("status %d, no code: %.300s", a.StatusCode, a.body))
	}
	return p.Code
}

// do is the answer to a request in full.
func do(c *http.Client, req *http.Request) (answer, error) {
	resp, err := c.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp, string(b)}, err
}

// get is do for a page of the visitor's site.
func get(t *testing.T, v *visitor.Visitor, path string) (answer, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.Origin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(v.Client, req)
}

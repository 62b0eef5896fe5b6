package relay_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/testnet"
	"trunkline/internal/token"
)

// An agent that was admitted may still be anybody's program.
func TestHostileAgents(t *testing.T) {
	s := newStage(t, impatient)
	_, seal := s.keys(t)
	refusal := func(code, message string) func(net.Conn) {
		b := fmt.Appendf(nil, `{"code":%q,"message":%q,"retry_ms":1000}`, code, message)
		return func(c net.Conn) { c.Write(append([]byte{1, 0, byte(len(b))}, b...)) }
	}
	after := func(head string) func(net.Conn) {
		return func(c net.Conn) {
			io.WriteString(c, "\x00"+head)
			io.Copy(io.Discard, c)
		}
	}
	for i, c := range []struct {
		name string
		code fault.Code
		do   func(net.Conn)
	}{
		{"hangs up", fault.PortalReset, func(net.Conn) {}},
		{"says nothing", fault.PortalTimeout, func(c net.Conn) { io.Copy(io.Discard, c) }},
		{"accepts and says nothing", fault.PortalTimeout, after("")},
		{"a reply of no kind", fault.Protocol, func(c net.Conn) { io.WriteString(c, "\x07HTTP/1.1 200 OK\r\n\r\n") }},
		{"a refusal too long", fault.Protocol, func(c net.Conn) { c.Write([]byte{1, 0xff, 0xff}) }},
		{"a refusal of no form", fault.Protocol, func(c net.Conn) { c.Write([]byte{1, 0, 2, '{', '['}) }},
		{"half a refusal", fault.PortalReset, func(c net.Conn) { c.Write([]byte{1, 0, 200, '{'}) }},
		{"a refusal in the relay's name", fault.PortalRefused, refusal("visit_needed", "<script>alert(1)</script>\r\nSet-Cookie: a=b")},
		{"a head without end", fault.PortalGarbage, after("HTTP/1.1 200 OK\r\n" + strings.Repeat("X-F: "+strings.Repeat("f", 500)+"\r\n", 1000))},
		{"half a head, then silence", fault.PortalTimeout, after("HTTP/1.1 200 OK\r\nX-")},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := s.puppet(t, id.Serial(fmt.Sprintf("3631A20C05%02d", i)))
			p.evil(t, "http://127.0.0.1:80", c.do)
			cookie := p.visitCookie(t, seal)
			s.leaves(t, edgeFault(c.code), func() (code fault.Code) {
				testnet.Eventually(t, "the tunnel is known", func() error {
					host := string(p.grant.Site) + ".localhost"
					conn := s.open(t, host)
					defer conn.Close()
					a, err := say(conn, "GET / HTTP/1.1\r\nHost: "+host+"\r\nCookie: "+cookie+"\r\nAccept: text/html\r\n\r\n")
					if code = a.code(); code == fault.UnknownSite {
						return fmt.Errorf("not yet")
					}
					if strings.Contains(a.body, "<script") || a.Header.Get("Set-Cookie") != "" {
						t.Errorf("the agent speaks through the page: %v %s", a.Header, a.body)
					}
					return err
				})
				return code
			})
		})
	}
	s.bystander.goesOn(t, 3)
}

// visitCookie is a visit to the puppet as control would grant it.
func (p *puppet) visitCookie(t *testing.T, seal token.SealKey) string {
	t.Helper()
	now := time.Now().UTC()
	c, err := token.SealVisit(seal, token.Visit{
		ID: id.NewVisit(), Site: p.grant.Site, Account: id.NewAccount(), User: id.NewUser(), Who: "Ann", Method: token.MethodAccount,
		Idle: time.Hour, Started: now, Seen: now, Expires: now.Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	p.s.secret("a visit's cookie", c)
	return "__Host-trunkline-visit=" + c
}

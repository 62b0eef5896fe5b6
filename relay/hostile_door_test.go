package relay_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"trunkline/cmd/trunkline/up"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/testnet"
	"trunkline/internal/token"
)

func edgeFault(code fault.Code) trace {
	return trace{fmt.Sprintf(`trunkline_relay_edge_faults_total{code="%s"}`, code), "request", code}
}

// Each case is a connection of its own, and bytes on it.
func TestHostileRequests(t *testing.T) {
	s := newStage(t, nil)
	never := s.puppet(t, "3631A20C0300") // has not been connected
	mine, other := s.authority(s.pbx), "nosuch.localhost"+s.Up.Relay.SitePort()
	cookie := "Cookie: " + s.cookie(t, s.visitor) + "\r\n"
	theirs := "Cookie: " + s.cookie(t, s.bystander.v) + "\r\n"
	_, seal := s.keys(t)
	forged := func(k token.SealKey, site id.Site, expires time.Duration) string {
		now := time.Now().UTC()
		c, err := token.SealVisit(k, token.Visit{
			ID: id.NewVisit(), Site: site, Account: id.NewAccount(), User: id.NewUser(), Method: token.MethodAccount,
			Idle: time.Hour, Started: now, Seen: now, Expires: now.Add(expires),
		})
		if err != nil {
			t.Fatal(err)
		}
		return "Cookie: __Host-trunkline-visit=" + c + "\r\n"
	}
	unknown := token.NewSealKey(time.Now())
	forger := unknown
	forger.ID = seal.ID
	get := func(host, more string) string { return "GET /test/1kb HTTP/1.1\r\n" + host + more + "\r\n" }
	for _, c := range []struct {
		name string
		code fault.Code
		say  string
	}{
		{"no Host", fault.Invalid, get("", cookie)},
		{"two Hosts", fault.Invalid, get("Host: "+mine+"\r\nHost: "+mine+"\r\n", cookie)},
		{"two Hosts, one ours", fault.Invalid, get("Host: "+mine+"\r\nHost: evil.example\r\n", cookie)},
		{"empty Host", fault.Invalid, get("Host:\r\n", cookie)},
		{"Host with a user", fault.Invalid, get("Host: x@"+mine+"\r\n", cookie)},
		{"Host with a path", fault.Invalid, get("Host: "+mine+"/..\r\n", cookie)},
		{"Host with a space", fault.Invalid, get("Host: "+mine+" evil.example\r\n", cookie)},
		{"Host and target disagree", fault.Invalid, "GET https://evil.example/ HTTP/1.1\r\nHost: " + mine + "\r\n" + cookie + "\r\n"},
		{"unknown host", fault.UnknownHost, get("Host: evil.example\r\n", cookie)},
		{"zone without a site", fault.UnknownHost, get("Host: localhost\r\n", cookie)},
		{"two labels", fault.UnknownHost, get("Host: a."+mine+"\r\n", cookie)},
		{"Host other than in TLS", fault.HostMismatch, get("Host: "+other+"\r\n", cookie)},
		{"another site's Host", fault.HostMismatch, get("Host: "+s.authority(s.bystander.pbx)+"\r\n", theirs)},
		{"no cookie", fault.VisitNeeded, get("Host: "+mine+"\r\n", "")},
		{"another site's cookie", fault.VisitWrongSite, get("Host: "+mine+"\r\n", theirs)},
		{"cookie of no form", fault.VisitNeeded, get("Host: "+mine+"\r\n", "Cookie: __Host-trunkline-visit=;;=\r\n")},
		{"endless cookie", fault.VisitNeeded, get("Host: "+mine+"\r\n", "Cookie: __Host-trunkline-visit="+strings.Repeat("A", 8000)+"\r\n")},
		{"forged cookie", fault.VisitNeeded, get("Host: "+mine+"\r\n", forged(forger, s.pbx.Site, time.Hour))},
		{"cookie under an unknown key", fault.VisitNeeded, get("Host: "+mine+"\r\n", forged(unknown, s.pbx.Site, time.Hour))},
		{"expired cookie", fault.VisitExpired, get("Host: "+mine+"\r\n", forged(seal, s.pbx.Site, -time.Minute))},
		{"changed cookie", fault.VisitNeeded, get("Host: "+mine+"\r\n", strings.Replace(cookie, "\r\n", "A\r\n", 1))},
		{"oversized header", fault.HeadersTooLarge, get("Host: "+mine+"\r\n", cookie+"X-Filler: "+strings.Repeat("f", 17<<10)+"\r\n")},
		{"endless headers", fault.HeadersTooLarge, get("Host: "+mine+"\r\n", cookie+strings.Repeat("X-F: f\r\n", 4000))},
		{"endless target", fault.HeadersTooLarge, "GET /" + strings.Repeat("a", 17<<10) + " HTTP/1.1\r\n"},
		{"no HTTP", fault.Invalid, "\x16\x03\x01 hello\r\n\r\n"},
		{"HTTP/2 by force", fault.Invalid, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
		{"TRACE", fault.Invalid, "TRACE / HTTP/1.1\r\nHost: " + mine + "\r\n" + cookie + "\r\n"},
		{"CONNECT", fault.Invalid, "CONNECT " + mine + " HTTP/1.1\r\nHost: " + mine + "\r\n" + cookie + "\r\n"},
		{"own path", fault.NotFound, "GET /.trunkline/../test/1kb HTTP/1.1\r\nHost: " + mine + "\r\n" + cookie + "\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.leaves(t, edgeFault(c.code), func() fault.Code {
				conn := s.open(t, s.host(s.pbx))
				defer conn.Close()
				a, err := say(conn, c.say)
				if err != nil {
					t.Error(err)
				}
				return a.code()
			})
		})
	}
	t.Run("site that was never connected", func(t *testing.T) {
		s.leaves(t, edgeFault(fault.UnknownSite), func() fault.Code {
			conn := s.open(t, string(never.grant.Site)+".localhost")
			a, err := say(conn, get("Host: "+string(never.grant.Site)+".localhost\r\n", forged(seal, never.grant.Site, time.Hour)))
			if err != nil {
				t.Error(err)
			}
			return a.code()
		})
	})
	t.Run("the console's connection", s.consoleConnection)
	s.bystander.goesOn(t, 3)
}

// A site's Host on the console's connection reaches neither.
func (s *stage) consoleConnection(t *testing.T) {
	for _, alpn := range []string{"h2", "http/1.1"} {
		conn := s.open(t, "console.localhost", alpn)
		tr := controlapi.NewTransport(nil)
		tr.DialTLSContext = func(context.Context, string, string) (net.Conn, error) { return conn, nil }
		tr.Protocols = new(http.Protocols)
		tr.Protocols.SetHTTP1(alpn != "h2")
		tr.Protocols.SetHTTP2(alpn == "h2")
		req, err := http.NewRequest(http.MethodGet, "https://"+s.authority(s.pbx)+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		a, err := do(&http.Client{Transport: tr}, req)
		if err != nil || a.code() != fault.HostMismatch {
			t.Errorf("%s: %s, %v", alpn, a.code(), err)
		}
		tr.CloseIdleConnections()
	}
}

// The listener for load balancers takes nobody else's word.
func TestHostilePlainEdge(t *testing.T) {
	s := newStage(t, func(c *up.Config) {
		c.Relay.Edge.HTTPListen, c.Relay.Edge.TrustedProxies = "127.0.0.1:0", []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})
	cookie := s.cookie(t, s.visitor)
	addr := s.Up.Relay.PlainAddr().String()
	connect := func(from string) net.Conn {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := d.DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(testnet.Patience))
		return c
	}
	request := func(more string) string {
		return "GET /test/headers HTTP/1.1\r\nHost: " + s.authority(s.pbx) + "\r\nCookie: " + cookie + "\r\n" + more + "\r\n"
	}
	t.Run("untrusted address", func(t *testing.T) {
		const series = `trunkline_relay_edge_connections_refused_total{reason="untrusted"}`
		before := s.metrics(t)[series]
		if a, err := say(connect("127.0.0.2"), request("X-Forwarded-Proto: https\r\n")); err == nil {
			t.Errorf("answered: %s", a.Status)
		}
		if s.metrics(t)[series] != before+1 {
			t.Errorf("%s did not move", series)
		}
	})
	for name, more := range map[string]string{
		"no scheme": "", "plain HTTP": "X-Forwarded-Proto: http\r\n", "two schemes": "X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n",
		"odd scheme": "X-Forwarded-Proto: https, http\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			s.leaves(t, edgeFault(fault.HostMismatch), func() fault.Code {
				a, err := say(connect("127.0.0.1"), request(more))
				if err != nil {
					t.Error(err)
				}
				return a.code()
			})
		})
	}
	if a, err := say(connect("127.0.0.1"), request("X-Forwarded-Proto: https\r\nX-Forwarded-For: 203.0.113.7\r\n")); err != nil || a.StatusCode != http.StatusOK {
		t.Errorf("the balancer itself: %v, %v", a.Response, err)
	} else if strings.Contains(a.body, "203.0.113.7") {
		t.Errorf("the visitor's address reached the portal: %s", a.body)
	}
	if c := tls.Client(connect("127.0.0.1"), &tls.Config{InsecureSkipVerify: true}); c.Handshake() == nil {
		t.Error("speaks TLS")
	}
}

package relay_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"trunkline/cmd/trunkline/up"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/pbxsim"
)

// impatient leaves portals so little time that tests can wait for its end, and enough
// for one that answers, on a machine with much else to do. It is less than after what
// a portal is doubted.
func impatient(c *up.Config) { c.Relay.Edge.Limits.Answer = 900 * time.Millisecond }

// A portal that misbehaves before its answer begins is told about on a page.
func TestHostilePortal(t *testing.T) {
	s := newStage(t, impatient)
	for _, c := range []struct {
		path string
		code fault.Code
	}{
		{"/test/garbage?kind=binary", fault.PortalGarbage},
		{"/test/garbage?kind=status", fault.PortalGarbage},
		{"/test/garbage?kind=header", fault.PortalGarbage},
		{"/test/garbage?kind=nul", fault.PortalGarbage},
		{"/test/garbage?kind=huge", fault.PortalGarbage},
		{"/test/garbage?kind=lengths", fault.PortalGarbage},
		{"/test/reset?at=start", fault.PortalReset},
		{"/test/reset?at=headers", fault.PortalReset},
		{"/test/hang", fault.PortalTimeout},
		{"/test/slow?ms=60000", fault.PortalTimeout},
	} {
		t.Run(c.path, func(t *testing.T) {
			s.leaves(t, edgeFault(c.code), func() fault.Code {
				a, err := get(t, s.visitor, c.path)
				if err != nil {
					t.Error(err)
				}
				return a.code()
			})
		})
	}
	// Once the answer has begun, a break must look like one.
	for path, code := range map[string]fault.Code{
		"/test/garbage?kind=chunk": fault.PortalGarbage,
		"/test/garbage?kind=short": fault.PortalReset,
		"/test/reset?at=body":      fault.PortalReset,
	} {
		t.Run(path, func(t *testing.T) {
			s.leaves(t, edgeFault(code), func() fault.Code {
				if a, err := get(t, s.visitor, path); err == nil { // the break came before the head was passed on
					return a.code()
				}
				return code
			})
		})
	}
	t.Run("two answers to one request", func(t *testing.T) {
		for range 20 {
			if a, err := get(t, s.visitor, "/test/garbage?kind=smuggle"); err == nil && strings.Contains(a.body, "next") {
				t.Fatalf("got the second: %q", a.body)
			}
			if a, err := get(t, s.visitor, "/test/1kb"); err != nil || len(a.body) != 1024 {
				t.Fatalf("the next request got %q, %v", a.body, err)
			}
		}
	})
	t.Run("as a page", func(t *testing.T) {
		req, err := http.NewRequest(http.MethodGet, s.visitor.Origin+"/test/reset?at=start", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "text/html")
		a, err := do(s.visitor.Client, req)
		if err != nil || a.code() != fault.PortalReset || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%v %v, %v", a.Response, a.code(), err)
		}
	})
	t.Run("spoofed fields", s.spoofed)
	t.Run("not listening", s.portalGone)
	s.bystander.goesOn(t, 3)
}

func (s *stage) portalGone(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := s.Connect("3631A20C0400", "http://"+ln.Addr().String())
	v := p.Visit()
	ln.Close()
	s.leaves(t, edgeFault(fault.PortalRefused), func() fault.Code {
		a, err := get(t, v, "/")
		if err != nil {
			t.Error(err)
		}
		return a.code()
	})
	p.Stop()
	p.AwaitStatus(controlapi.StatusDisconnected)
	s.leaves(t, edgeFault(fault.NotConnected), func() fault.Code {
		a, err := get(t, v, "/")
		if err != nil {
			t.Error(err)
		}
		if !strings.Contains(a.body, "Not connected since") || !strings.Contains(a.body, "its agent was stopped") || a.Header.Get("Retry-After") == "" {
			t.Errorf("does not say since when, why, or when to come again: %s", a.body)
		}
		return a.code()
	})
}

// Who came from where is not the browser's to say, and the visit's cookie
// stays with the relay.
func (s *stage) spoofed(t *testing.T) {
	cookie := s.cookie(t, s.visitor)
	names := []string{
		"X-Forwarded-For", "x-forwarded-host", "X-FORWARDED-PROTO", "X_Forwarded_For", "X-Forwarded-Anything-Else-That-Is-Longer-Than-That", "X-Forwarded",
		"Forwarded", "X-Real-IP", "X-Trunkline-User", "x_trunkline_visit", "X-Trunkline-A-Name-That-Is-Longer-Than-The-Buffer",
		"Proxy-Authorization", "Proxy-Connection", "Keep-Alive", "TE", "Trailer", "X-Named",
	}
	var b strings.Builder
	for _, n := range names {
		fmt.Fprintf(&b, "%s: spoofed-value\r\n", n)
	}
	conn := s.open(t, s.host(s.pbx))
	a, err := say(conn, "GET /test/headers HTTP/1.1\r\nHost: "+s.authority(s.pbx)+"\r\nCookie: a=1; "+cookie+"; b=2\r\nCookie: "+cookie+
		"\r\nConnection: X-Named, Cookie2\r\nUser-Agent: browser\r\n"+b.String()+"\r\n")
	if err != nil || a.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", a.Response, err)
	}
	var got pbxsim.Received
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(a.body, "spoofed-value") || strings.Contains(a.body, "trunkline") {
		t.Errorf("reached the portal: %s", a.body)
	}
	if !strings.HasPrefix(got.Remote, "127.0.0.1:") || got.Headers["User-Agent"] == nil || strings.Join(got.Headers["Cookie"], "|") != "a=1; b=2" {
		t.Errorf("the portal got %+v", got)
	}
}

// scripted is a portal that answers each path with bytes.
func scripted(t *testing.T, answers map[string]string) (url string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if req, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					io.WriteString(c, answers[req.URL.Path])
				}
			}()
		}
	}()
	return "http://" + ln.Addr().String()
}

// What a portal sends concerns its own site only. The test sees the bytes that
// reach the browser.
func TestHostileAnswers(t *testing.T) {
	s := newStage(t, impatient)
	const ok, end = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n", "\r\n\r\nok"
	cases := map[string]struct {
		answer string
		never  []string // in what reaches the browser, in lower case
		code   fault.Code
	}{
		"/visit":        {ok + "Set-Cookie: __Host-trunkline-visit=evil; Path=/; Secure" + end, []string{"trunkline-visit", "evil"}, ""},
		"/visit-case":   {ok + "SET-COOKIE: __hOST-Trunkline-VISIT=evil" + end, []string{"evil"}, ""},
		"/visit-space":  {ok + "Set-Cookie: \t __Host-trunkline-visit \t=evil" + end, []string{"evil"}, ""},
		"/visit-noname": {ok + "Set-Cookie: =__Host-trunkline-visit=evil" + end, []string{"evil"}, ""},
		"/visit-more":   {ok + "Set-Cookie: a=1\r\nSet-Cookie: __Host-trunkline-visit=evil\r\nSet-Cookie: b=2" + end, []string{"evil"}, ""},
		"/visit-gone":   {ok + "Set-Cookie: __Host-trunkline-visit=; Max-Age=0" + end, []string{"max-age"}, ""},
		"/domain":       {ok + "Set-Cookie: a=1; Domain=.localhost; Path=/" + end, []string{"domain"}, ""},
		"/domain-odd":   {ok + "Set-Cookie: a=1;\tdOMAIN \t= localhost;Domain=console.localhost; domain" + end, []string{"domain"}, ""},
		"/clear":        {ok + `Clear-Site-Data: "cookies"` + "\r\n" + `clear-site-data: "cache", "*"` + end, []string{"clear-site-data"}, ""},
		"/promises":     {ok + "Strict-Transport-Security: max-age=9\r\nAlt-Svc: h2=\"evil:443\"\r\nX-Trunkline-Who: evil" + end, []string{"strict-", "alt-svc", "evil"}, ""},
		"/trailer":      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Set-Cookie\r\n\r\n2\r\nok\r\n0\r\nSet-Cookie: a=evil\r\n\r\n", []string{"evil"}, ""},
		"/hints":        {"HTTP/1.1 103 Early Hints\r\nSet-Cookie: __Host-trunkline-visit=evil\r\n\r\n" + ok + end[2:], []string{"evil"}, ""},
		"/fold":         {ok + "X-A: b\r\n Set-Cookie: folded" + end, []string{"\nset-cookie", "\n set-cookie"}, ""},
		"/bare-cr":      {ok + "Location: /a\rSet-Cookie: a=evil" + end, []string{"evil"}, fault.PortalGarbage},
		"/name-space":   {ok + "Set-Cookie : __Host-trunkline-visit=evil" + end, []string{"evil"}, fault.PortalGarbage},
		"/nul":          {ok + "Location: /a\x00evil" + end, []string{"evil"}, fault.PortalGarbage},
		"/reason":       {"HTTP/1.1 200 O\x0bK\r\n" + end, nil, fault.PortalGarbage},
		"/only-hints":   {strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 1000), nil, fault.PortalGarbage},
		"/unasked-101":  {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: evil\r\nConnection: Upgrade\r\n\r\n", []string{"evil"}, fault.PortalGarbage},
		"/length":       {"HTTP/1.1 200 OK\r\nContent-Length: -2" + end, nil, fault.PortalGarbage},
		"/encoding":     {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked" + end, nil, fault.PortalGarbage},
		"/nothing":      {"", nil, fault.PortalReset},
	}
	answers := map[string]string{}
	for path, c := range cases {
		answers[path] = c.answer
	}
	p := s.Connect("3631A20C0401", scripted(t, answers))
	cookie := s.cookie(t, p.Visit())
	for path, c := range cases {
		t.Run(path, func(t *testing.T) {
			var seen strings.Builder
			fetch := func() fault.Code {
				conn := s.open(t, s.host(p))
				defer conn.Close()
				io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: "+s.authority(p)+"\r\nCookie: "+cookie+"\r\nConnection: close\r\n\r\n")
				a, err := hear(bufio.NewReader(io.TeeReader(conn, &seen)), http.MethodGet)
				switch {
				case err != nil:
					t.Error(err)
				case c.code == "" && (a.StatusCode != http.StatusOK || a.body != "ok"):
					t.Errorf("%s %q", a.Status, a.body)
				case c.code != "":
					return a.code()
				}
				return ""
			}
			if c.code == "" {
				fetch()
			} else {
				s.leaves(t, edgeFault(c.code), fetch)
			}
			for _, n := range c.never {
				if strings.Contains(strings.ToLower(seen.String()), n) {
					t.Errorf("%q reaches the browser:\n%s", n, seen.String())
				}
			}
		})
	}
	s.bystander.goesOn(t, 3)
}

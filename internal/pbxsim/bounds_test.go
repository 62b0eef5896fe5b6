package pbxsim

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func asking(token string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(&http.Cookie{Name: sessionCookie, Value: token})
	return r
}

func TestSessionsEndWhenIdle(t *testing.T) {
	s, now := newSessions(), time.Now()
	token := s.open("root", "", superAdministrator, now)
	for range 3 { // each use keeps it
		now = now.Add(sessionIdle)
		if _, ok := s.of(asking(token), now); !ok {
			t.Fatal("ended while in use")
		}
	}
	if _, ok := s.of(asking(token), now.Add(sessionIdle+1)); ok || len(s.m) != 0 {
		t.Error("idle for too long, and still there")
	}
}

func TestSessionsAreBounded(t *testing.T) {
	s, now := newSessions(), time.Now()
	oldest := s.open("root", "", superAdministrator, now)
	second := s.open("root", "", superAdministrator, now.Add(time.Second))
	for range maxSessions - 1 {
		s.open("root", "", superAdministrator, now.Add(time.Minute))
	}
	if len(s.m) != maxSessions {
		t.Errorf("%d sessions", len(s.m))
	}
	if _, ok := s.of(asking(oldest), now.Add(time.Minute)); ok {
		t.Error("the one idle longest should have made room")
	}
	if _, ok := s.of(asking(second), now.Add(time.Minute)); !ok {
		t.Error("one too many ended")
	}
}

func TestCallsAreAFunctionOfTheSecond(t *testing.T) {
	busy := 0
	for sec := range int64(600) {
		calls := callsAt(1_800_000_000 + sec)
		if len(calls) > callSlots {
			t.Fatalf("%d calls on %d lines", len(calls), callSlots)
		}
		busy += len(calls)
		for _, c := range calls {
			if c.From == "" || c.To == "" || c.From == c.To || c.Seconds < 0 {
				t.Fatalf("call %+v", c)
			}
		}
	}
	if busy < 600 {
		t.Error("a monitor with hardly a call is nothing to look at")
	}
}

// Wherever a hostile next leads, it is this portal.
func FuzzLocalPath(f *testing.F) {
	for _, s := range []string{"/", "/cdr?page=2", "//evil", `/\evil`, "https://evil/", "/a/../../b", "/\t/evil", "/%2f/evil", "javascript:x", "/#f"} {
		f.Add(s)
	}
	base := &url.URL{Scheme: "http", Host: "pbx"}
	f.Fuzz(func(t *testing.T, s string) {
		got := localPath(s)
		u, err := base.Parse(got)
		if err != nil || u.Host != "pbx" || u.Scheme != "http" || !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") {
			t.Errorf("%q leads to %q", s, got)
		}
		if strings.ContainsAny(got, "\r\n\\") {
			t.Errorf("%q keeps what a browser reads otherwise: %q", s, got)
		}
	})
}

func FuzzAcceptsGzip(f *testing.F) {
	for _, s := range []string{"gzip", "br, gzip;q=0.5", "gzip;q=0", "identity", "GZIP ; Q=1", ",,;", "gzip;q="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if acceptsGzip([]string{s}) && !strings.Contains(strings.ToLower(s), "gzip") {
			t.Errorf("%q does not ask for gzip", s)
		}
	})
}

func FuzzOwnHostAndOrigin(f *testing.F) {
	f.Add("127.0.0.1:80", "http://127.0.0.1")
	f.Add("pbx.lan", "http://PBX.lan:80/path")
	f.Add("pbx.lan", "http://pbx.lan@evil")
	f.Add("pbx.lan", "null")
	p := &Portal{scheme: "http"}
	f.Fuzz(func(t *testing.T, host, origin string) {
		r := httptest.NewRequest("POST", "/", nil)
		r.Host = host
		r.Header.Set("Origin", origin)
		if origin == "" || !p.sameOrigin(r) {
			return
		}
		u, err := url.Parse(origin)
		if err != nil || !strings.EqualFold(strings.TrimSuffix(u.Host, ":80"), strings.TrimSuffix(host, ":80")) {
			t.Errorf("origin %q passed for host %q", origin, host)
		}
	})
}

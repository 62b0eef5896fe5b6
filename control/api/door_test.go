package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"trunkline/internal/fault"
)

// operations walks the table as the document tells it.
func operations(t *testing.T, w *world) map[string]operation {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]operation `json:"paths"`
	}
	rec := w.do("GET", "/api/v1/openapi.json", "", "Authorization", "")
	if err := json.Unmarshal(rec.Body.Bytes(), &doc); err != nil || rec.Code != 200 {
		t.Fatal(rec.Code, err)
	}
	out := map[string]operation{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			out[strings.ToUpper(method)+" "+filled(path)] = op
		}
	}
	return out
}

// filled is a path with ids in the places of its names.
func filled(path string) string {
	kinds := map[string]string{
		"devices": string(aDevice), "visits": string(aVisit), "groups": string(aGroup), "users": string(aUser),
		"resellers": string(aReseller), "tokens": string(aToken),
	}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		switch part {
		case "{id}":
			parts[i] = kinds[parts[i-1]]
		case "{token}":
			parts[i] = "once"
		case "{role}":
			parts[i] = "technician"
		}
	}
	return strings.Join(parts, "/")
}

type operation struct {
	ID       string                `json:"operationId"`
	Security []map[string][]string `json:"security"`
}

// Everything but what is listed here passes the one door: without a session
// nobody reaches fleet, and hears so before anything else is looked at.
func TestEveryRoutePassesTheDoor(t *testing.T) {
	public := []string{"acceptInvitation", "activate", "getInvitation", "getOpenAPI", "renewPass", "signIn"}
	w := newWorld(t)
	ops := operations(t, w)
	var open []string
	for target, op := range ops {
		if len(op.Security) == 0 {
			open = append(open, op.ID)
			continue
		}
		method, path, _ := strings.Cut(target, " ")
		for _, headers := range [][]string{
			{"Authorization", ""},
			{"Authorization", "Bearer stolen"},
			{"Authorization", "Basic " + goodToken},
			{"Authorization", goodToken},
			{"Authorization", "Bearer"},
			{"Authorization", "Bearer " + strings.Repeat("x", 600)},
			{"Authorization", "", "Cookie", "session=" + goodToken},
		} {
			rec := w.do(method, path+"?nonsense=1", "", headers...)
			if p := problem(t, rec); p.Code != fault.SignInNeeded || rec.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%s with %q: %+v", target, headers, p)
			}
		}
		if w.fleet.last() != nil {
			t.Errorf("%s reached fleet: %v", target, w.fleet.last())
		}
	}
	slices.Sort(open)
	if !slices.Equal(open, public) {
		t.Errorf("without a session: %v", open)
	}
	if len(ops) != 54 {
		t.Errorf("%d routes", len(ops))
	}
}

func TestTwoAuthorizationsAreNone(t *testing.T) {
	w := newWorld(t)
	r := httptest.NewRequest("GET", "/api/v1/devices", nil)
	r.Header["Authorization"] = []string{"Bearer " + goodToken, "Bearer other"}
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	if p := problem(t, rec); p.Code != fault.SignInNeeded {
		t.Fatalf("%+v", p)
	}
}

func TestOtherPathsAndMethods(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/api/v1", "/api/v1/", "/api/v1/devicez", "/api/v1/devices/", "/api/v2/devices", "/", "/api/v1/devices/x/y"} {
		if rec := w.do("GET", path, ""); problem(t, rec).Code != fault.NotFound {
			t.Errorf("%s: %d", path, rec.Code)
		}
	}
	for _, method := range []string{"PUT", "POST", "OPTIONS", "TRACE", "BREW"} {
		rec := w.do(method, "/api/v1/devices/"+string(aDevice), "")
		if problem(t, rec); rec.Code != 405 || rec.Header().Get("Allow") != "GET, PATCH, DELETE" {
			t.Errorf("%s: %d, Allow %q", method, rec.Code, rec.Header().Get("Allow"))
		}
	}
	if rec := w.do("HEAD", "/api/v1/devices", ""); rec.Code != 200 {
		t.Errorf("HEAD: %d", rec.Code)
	}
}

func TestCrossSiteRequestIsRefused(t *testing.T) {
	w := newWorld(t)
	for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}} {
		for target, op := range operations(t, w) {
			method, path, _ := strings.Cut(target, " ")
			if method == "GET" {
				continue
			}
			if p := problem(t, w.do(method, path, "", headers...)); p.Code != fault.CrossSite {
				t.Errorf("%s: %+v", op.ID, p)
			}
		}
	}
}

func TestHeadersOfEveryAnswer(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/api/v1/devices", "/api/v1/openapi.json", "/nowhere"} {
		h := w.do("GET", path, "").Header()
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Access-Control-Allow-Origin": "",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s: %q", path, name, got)
			}
		}
	}
}

func TestOneLogEventAndOneCountPerRequest(t *testing.T) {
	w := newWorld(t)
	w.do("GET", "/api/v1/devices/"+string(aDevice), "")
	w.do("POST", "/api/v1/sessions", `{"email":"anna@example.com","password":"hunter2","x":1}`)
	w.do("GET", "/api/v1/"+strings.Repeat("x", 100), "")
	logged := w.logs.TakeAll()
	if len(logged) != 3 {
		t.Fatalf("%d events", len(logged))
	}
	for i, want := range []map[string]any{
		{"method": "GET", "route": "GET /api/v1/devices/{id}", "status": int64(200), "code": "", "remote": "192.0.2.7", "account": string(anAccount)},
		{"method": "POST", "route": "POST /api/v1/sessions", "status": int64(400), "code": "invalid_request"},
		{"method": "GET", "route": "/", "status": int64(404), "code": "not_found"},
	} {
		m := logged[i].ContextMap()
		for k, v := range want {
			if m[k] != v {
				t.Errorf("event %d: %s = %v, not %v", i, k, m[k], v)
			}
		}
		if _, ok := m["dur_ms"].(float64); !ok {
			t.Errorf("event %d: no dur_ms", i)
		}
		for k, v := range m {
			if s, ok := v.(string); ok && (strings.Contains(s, "hunter2") || strings.Contains(s, goodToken)) {
				t.Errorf("event %d: a secret in %s", i, k)
			}
		}
	}
	const want = `
# HELP trunkline_control_http_requests_total API requests by route and class of status; 4xx with status 499 are clients that left.
# TYPE trunkline_control_http_requests_total counter
trunkline_control_http_requests_total{class="2xx",route="GET /api/v1/devices/{id}"} 1
trunkline_control_http_requests_total{class="4xx",route="/"} 1
trunkline_control_http_requests_total{class="4xx",route="POST /api/v1/sessions"} 1
`
	if err := testutil.GatherAndCompare(w.reg, strings.NewReader(want), "trunkline_control_http_requests_total"); err != nil {
		t.Error(err)
	}
}

// A bug in one request is that request's.
func TestPanicIsAnInternalError(t *testing.T) {
	w := newWorld(t)
	w.fleet.bug = true
	rec := w.do("GET", "/api/v1/subscription", "")
	if p := problem(t, rec); p.Code != fault.Internal || p.Reference == "" {
		t.Fatalf("%+v", p)
	}
	if e := w.logs.TakeAll(); len(e) != 1 || !strings.Contains(e[0].ContextMap()["error"].(string), "endpoints.go") {
		t.Fatalf("%v", e)
	}
}

func TestClientThatLeaves(t *testing.T) {
	w := newWorld(t)
	w.fleet.err = context.Canceled
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, "GET", "/api/v1/subscription", nil)
	r.Header.Set("Authorization", "Bearer "+goodToken)
	w.ServeHTTP(httptest.NewRecorder(), r)
	e := w.logs.TakeAll()
	if m := e[0].ContextMap(); len(e) != 1 || m["status"] != int64(499) || m["code"] != "client_gone" || m["reference"] != nil {
		t.Fatalf("%v", m)
	}
}

func TestFleetThatTakesTooLong(t *testing.T) {
	w := newWorld(t)
	w.fleet.err = context.DeadlineExceeded
	rec := w.do("GET", "/api/v1/subscription", "")
	if p := problem(t, rec); rec.Code != http.StatusServiceUnavailable || p.Code != fault.Unavailable || p.RetryAfter != 5 {
		t.Fatalf("%+v", p)
	}
}

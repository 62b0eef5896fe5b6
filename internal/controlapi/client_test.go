package controlapi_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
)

// serve starts a control that answers everything with h.
func serve(t *testing.T, h http.HandlerFunc) *controlapi.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := controlapi.NewClient(s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func reply(status int, kind, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestProblemBecomesItsFault(t *testing.T) {
	problem := fault.ProblemOf(fault.New(fault.FirmwareOld, "Update it.").In("firmware").After(90*time.Second), "")
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { problem.Write(w) })
	_, err := c.Activate(t.Context(), controlapi.ActivationRequest{})
	var f *fault.Error
	if !errors.As(err, &f) {
		t.Fatalf("%v is no fault", err)
	}
	if f.Code != fault.FirmwareOld || f.Message != "Update it." || f.Field != "firmware" || f.Retry != 90*time.Second {
		t.Fatalf("%+v", f)
	}
}

// What is not a problem document of ours says nothing about the request: an
// agent must not take a proxy's page for a refusal.
func TestAnswersOfOthers(t *testing.T) {
	const problem = "application/problem+json"
	tests := []struct {
		name  string
		reply http.HandlerFunc
		code  fault.Code // "": no fault
		retry time.Duration
	}{
		{"proxy is down", reply(502, "text/html", "<h1>Bad Gateway</h1>"), fault.Unavailable, 0},
		{"proxy says when", reply(503, "text/html", "", "Retry-After", "7"), fault.Unavailable, 7 * time.Second},
		{"proxy's limit", reply(429, "text/plain", "slow down"), fault.Unavailable, 0},
		{"header's hint", reply(503, problem, `{"code":"draining"}`, "Retry-After", "3"), fault.Draining, 3 * time.Second},
		{"endless hint", reply(503, problem, `{"code":"draining","retry_after":999999999999}`), fault.Draining, time.Hour},
		{"hint of the past", reply(503, problem, `{"code":"draining","retry_after":-5}`), fault.Draining, 0},
		{"a portal", reply(200, "text/html", "<h1>Welcome</h1>"), "", 0},
		{"some 404", reply(404, "text/html", ""), "", 0},
		{"problem without code", reply(403, problem, `{"title":"Forbidden"}`), "", 0},
		{"problem that is none", reply(403, problem, `{`), "", 0},
		{"problem without end", reply(403, problem, `{"code":"rejected","detail":"`+strings.Repeat("x", 70<<10)+`"}`), "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := serve(t, tt.reply).Subscription(t.Context())
			var f *fault.Error
			switch errors.As(err, &f) {
			case true:
				if f.Code != tt.code || f.Retry != tt.retry {
					t.Fatalf("%s, retry %s", f, f.Retry)
				}
			case false:
				if tt.code != "" || err == nil {
					t.Fatalf("no fault: %v", err)
				}
			}
		})
	}
}

func TestReferenceReachesThePerson(t *testing.T) {
	problem := fault.ProblemOf(errors.New("disk full"), "abcd1234")
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { problem.Write(w) })
	_, err := c.Subscription(t.Context())
	if fault.CodeOf(err) != fault.Internal || !strings.Contains(err.Error(), "abcd1234") {
		t.Fatal(err)
	}
}

func TestBadAnswersAreErrors(t *testing.T) {
	const json = "application/json"
	for name, h := range map[string]http.HandlerFunc{
		"not JSON":        reply(200, json, `{"items":[`),
		"a malformed id":  reply(200, json, `{"items":[{"id":"../../etc"}],"total":1}`),
		"larger than sky": reply(200, json, `{"next":"`+strings.Repeat("x", 5<<20)+`"}`),
	} {
		t.Run(name, func(t *testing.T) {
			p, err := serve(t, h).Devices(t.Context(), controlapi.DeviceQuery{})
			if err == nil || len(p.Items) != 0 || p.Next != "" {
				t.Fatalf("%+v, %v", p, err)
			}
		})
	}
	t.Run("an empty grant", func(t *testing.T) {
		if _, err := serve(t, reply(200, json, `{}`)).Activate(t.Context(), controlapi.ActivationRequest{}); err == nil {
			t.Fatal("taken")
		}
	})
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var stolen bool
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen = true }))
	defer thief.Close()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, thief.URL, http.StatusTemporaryRedirect)
	})
	if _, err := c.SignIn(t.Context(), "a@example.com", "secret"); err == nil {
		t.Fatal("no error")
	}
	if stolen {
		t.Fatal("the password went elsewhere")
	}
}

func TestNewClientRefuses(t *testing.T) {
	for _, base := range []string{
		"", "console.example.com", "http://console.example.com", "https://", "ftp://localhost", "https://a:b@c.example",
		"https://c.example/?x=1", "https://c.example/#x", "http://localhost.evil.example", "https://%zz",
	} {
		if _, err := controlapi.NewClient(base, nil); err == nil {
			t.Errorf("%q accepted", base)
		}
	}
	for _, base := range []string{"https://c.example", "https://c.example:8443/", "http://127.0.0.1:1", "http://[::1]:1", "http://console.localhost:1"} {
		if _, err := controlapi.NewClient(base, nil); err != nil {
			t.Errorf("%q: %v", base, err)
		}
	}
}

func TestTokenBelongsToOneClient(t *testing.T) {
	var sent []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		sent = append(sent, r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusNoContent)
	})
	signedIn := c.WithToken("abc")
	if err := errors.Join(c.SignOut(t.Context()), signedIn.SignOut(t.Context())); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%q", sent); got != `["" "Bearer abc"]` {
		t.Fatal(got)
	}
}

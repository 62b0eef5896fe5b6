package console_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"trunkline/control/console"
)

func newConsole(t testing.TB, f *fake) http.Handler {
	t.Helper()
	h, err := console.New(console.Options{
		Fleet: f, Zone: "relay.example", Port: ":8443", Version: "1.2.3", Now: func() time.Time { return noon },
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// ask sends a request as a signed-in person; edit changes it first.
func ask(h http.Handler, method, target string, form url.Values, edit ...func(*http.Request)) *httptest.ResponseRecorder {
	var body *strings.Reader
	if body = strings.NewReader(form.Encode()); form == nil {
		body = strings.NewReader("")
	}
	r := httptest.NewRequest(method, "https://console.relay.example:8443"+target, body)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("Cookie", "__Host-trunkline-session="+goodToken)
	for _, e := range edit {
		e(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func signedOut(r *http.Request) { r.Header.Del("Cookie") }

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

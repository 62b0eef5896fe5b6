package login_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"go.uber.org/goleak"

	"trunkline/agent/login"
	"trunkline/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve is a portal as h has it.
func serve(t *testing.T, h http.HandlerFunc) (origin string, dial login.Dial) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL, dialler(t, s.URL)
}

func dialler(t *testing.T, origin string) login.Dial {
	t.Helper()
	u, err := url.Parse(origin)
	if err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", u.Host)
	}
}

func wantCode(t *testing.T, err error, want fault.Code) {
	t.Helper()
	if got := fault.CodeOf(err); got != want {
		t.Errorf("code %q (%v), want %q", got, err, want)
	}
}

package controlapi_test

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"trunkline/internal/controlapi"
)

func TestLoopbackDialer(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	dial := controlapi.LoopbackDialer()
	for _, host := range []string{"localhost", "LocalHost", "localhost.", "console.localhost", "pbx-1.a.localhost.", "127.0.0.1"} {
		c, err := dial(t.Context(), "tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		c.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	for _, host := range []string{"notlocalhost.invalid", "localhost.invalid"} {
		if c, err := dial(ctx, "tcp", net.JoinHostPort(host, port)); err == nil {
			c.Close()
			t.Errorf("%s was taken for localhost", host)
		}
	}
}

func TestProxyIsNotAskedForLocalhost(t *testing.T) {
	r, _ := http.NewRequest(http.MethodGet, "https://console.localhost:8443/", nil)
	if u, err := controlapi.NewTransport(nil).Proxy(r); u != nil || err != nil {
		t.Fatal(u, err)
	}
}

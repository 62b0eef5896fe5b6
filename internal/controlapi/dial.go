package controlapi

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// LoopbackDialer is a DialContext that takes localhost and every name below
// it to 127.0.0.1, as RFC 6761 (section 6.3) has it and browsers do; Go's
// resolver asks the DNS instead. Everything else is dialled normally.
func LoopbackDialer() func(ctx context.Context, network, addr string) (net.Conn, error) {
	d := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if host, port, err := net.SplitHostPort(addr); err == nil && isLocalhost(host) {
			addr = net.JoinHostPort("127.0.0.1", port)
		}
		return d.DialContext(ctx, network, addr)
	}
}

// NewTransport is the client's transport: it dials by LoopbackDialer, obeys
// the proxy settings of the environment and bounds every wait. conf may be nil;
// it is copied, since a transport writes to its own.
func NewTransport(conf *tls.Config) *http.Transport {
	return &http.Transport{
		Proxy:                  proxy,
		DialContext:            LoopbackDialer(),
		TLSClientConfig:        conf.Clone(),
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  30 * time.Second,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        time.Minute,
		MaxIdleConnsPerHost:    4,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
	}
}

func isLocalhost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// proxy keeps *.localhost away from proxies; net/http knows of localhost only.
func proxy(r *http.Request) (*url.URL, error) {
	if isLocalhost(r.URL.Hostname()) {
		return nil, nil
	}
	return http.ProxyFromEnvironment(r)
}

package agent

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"trunkline/agent/coding"
	"trunkline/internal/fault"
	"trunkline/internal/nowait"
	"trunkline/internal/tunnel"
)

// maxAliases is what a tunnel's status may carry.
const maxAliases = 24

// portal dials the PBX's web UI for the streams a relay opens.
type portal struct {
	origin  origin
	aliases []string
	tls     *tls.Config // nil: plain HTTP
	timeout time.Duration
	dialTCP dialFunc
	slots   chan struct{} // one per stream in service
	// proxy carries a stream where its requests are to be read; nil: they are
	// not, and bytes pass as they are.
	proxy func(ctx context.Context, h tunnel.Header, stream, first net.Conn)
	coder *coding.Coder // compresses answers; nil: they pass as they are
	log   *zap.Logger
	met   *metrics
}

// origin is scheme://host[:port], in lower case and without a default port.
type origin struct {
	scheme, host, port string
}

func parseOrigin(s string) (origin, error) {
	u, err := url.Parse(s)
	if err != nil {
		return origin{}, errors.New("not a URL")
	}
	o := origin{scheme: u.Scheme, host: strings.ToLower(u.Hostname()), port: u.Port()}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return origin{}, errors.New("need http:// or https://")
	case o.host == "" || u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return origin{}, errors.New("need scheme://host[:port] and nothing more")
	case strings.ContainsFunc(o.host, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`/\%"<>`, r) }):
		return origin{}, errors.New("the host has characters that no host has")
	case o.scheme == "http" && o.port == "80", o.scheme == "https" && o.port == "443":
		o.port = ""
	}
	if len(o.String()) > 300 {
		return origin{}, errors.New("too long")
	}
	return o, nil
}

func (o origin) String() string {
	switch {
	case o.port != "":
		return o.scheme + "://" + net.JoinHostPort(o.host, o.port)
	case strings.Contains(o.host, ":"):
		return o.scheme + "://[" + o.host + "]"
	}
	return o.scheme + "://" + o.host
}

// addr is where to dial.
func (o origin) addr() string {
	port := o.port
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[o.scheme]
	}
	return net.JoinHostPort(o.host, port)
}

func (o origin) loopback() bool {
	a, err := netip.ParseAddr(o.host)
	return err == nil && a.IsLoopback() || o.host == "localhost" || strings.HasSuffix(o.host, ".localhost")
}

func newPortal(c Portal, dial dialFunc) (*portal, error) {
	if c.URL == "" {
		c.URL = DefaultPortal
	}
	o, err := parseOrigin(c.URL)
	if err != nil {
		return nil, fmt.Errorf("portal.url: %w", err)
	}
	p := &portal{
		origin: o, timeout: c.DialTimeout, dialTCP: dial, slots: make(chan struct{}, c.MaxStreams),
	}
	if p.aliases, err = aliases(o, c.Aliases); err != nil {
		return nil, fmt.Errorf("portal.aliases: %w", err)
	}
	if o.scheme == "https" {
		if p.tls, err = portalTLS(o, c); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// aliases are the origins by which a portal may name itself beside its own:
// what is configured, and the other names of loopback.
func aliases(o origin, more []string) ([]string, error) {
	var out []string
	for _, s := range more {
		a, err := parseOrigin(s)
		if err != nil {
			return nil, err
		}
		out = append(out, a.String())
	}
	if o.loopback() {
		for _, host := range []string{"127.0.0.1", "localhost", "::1"} {
			out = append(out, origin{o.scheme, host, o.port}.String())
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	return slices.DeleteFunc(out, func(s string) bool { return s == o.String() }), nil
}

// portalTLS says which certificates are taken: the pinned one; else one that
// verifies; else, on loopback only, any: nobody stands between.
func portalTLS(o origin, c Portal) (*tls.Config, error) {
	t := &tls.Config{
		ServerName: o.host, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12,
		ClientSessionCache: tls.NewLRUClientSessionCache(4), // a PBX is slow at handshakes
	}
	switch {
	case c.Pin != "":
		pin, err := parsePin(c.Pin)
		if err != nil {
			return nil, fmt.Errorf("portal.pin: %w", err)
		}
		t.InsecureSkipVerify = true
		t.VerifyConnection = func(s tls.ConnectionState) error {
			sum := sha256.Sum256(s.PeerCertificates[0].Raw)
			if subtle.ConstantTimeCompare(sum[:], pin[:]) != 1 {
				return errPin
			}
			return nil
		}
	case c.CAFile != "":
		b, err := os.ReadFile(c.CAFile)
		if err == nil {
			t.RootCAs, err = pool(b)
		}
		if err != nil {
			return nil, fmt.Errorf("portal.ca_file: %w", err)
		}
	case o.loopback():
		t.InsecureSkipVerify = true
	}
	return t, nil
}

var errPin = errors.New("the certificate is not the pinned one")

// dial connects to the portal. Its errors are faults whose messages staff may
// read: they say what is wrong, and no addresses of the PBX's network.
func (p *portal) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	c, err := p.dialTCP(ctx, "tcp", p.origin.addr())
	if err != nil {
		return nil, portalFault(ctx, err)
	}
	c = nowait.Wrap(c)
	if p.tls == nil {
		return c, nil
	}
	t := tls.Client(c, p.tls)
	if err := t.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, portalFault(ctx, err)
	}
	return t, nil
}

func portalFault(ctx context.Context, err error) *fault.Error {
	var timeout net.Error
	var cert *tls.CertificateVerificationError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		return fault.New(fault.PortalTimeout, "The PBX's web server did not take the connection in time.")
	case errors.Is(err, errPin):
		return fault.New(fault.PortalRefused, "The PBX's web server has another certificate than the pinned one (portal.pin).")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fault.New(fault.PortalRefused, "The certificate of the PBX's web server has expired or is not valid yet.")
	case errors.As(err, &cert):
		return fault.New(fault.PortalRefused, "The certificate of the PBX's web server does not verify; set portal.pin or portal.ca_file.")
	case errors.As(err, &record):
		return fault.New(fault.PortalRefused, "The PBX's web server does not speak TLS on this port; set portal.url.")
	case errors.As(err, &op) && op.Op == tlsRemote:
		return fault.New(fault.PortalRefused, "The PBX's web server and the agent found no TLS version or cipher in common.")
	case errors.As(err, &dns):
		return fault.New(fault.PortalRefused, "The name of the PBX's web server is unknown on the PBX; set portal.url.")
	case errors.As(err, &op) && op.Op == "dial":
		return fault.New(fault.PortalRefused, "The PBX's web server refused the connection. It may be stopped, or on another port.")
	}
	return fault.New(fault.PortalRefused, "The PBX's web server broke off the TLS handshake.")
}

// status is what the relay is told of the portal.
func (p *portal) status() tunnel.Status {
	return tunnel.Status{Portal: tunnel.Portal{Origin: p.origin.String(), Aliases: p.aliases}}
}

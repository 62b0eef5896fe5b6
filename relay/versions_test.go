package relay_test

import (
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"trunkline/internal/fault"
	"trunkline/internal/tunnel"
)

// What an agent and a relay of different versions make of each other: the ALPN name
// is chosen from those that both know, and a hello of another version is refused by
// a code, before anything else of it is looked at.
func TestVersionsAreNegotiated(t *testing.T) {
	s := newStage(t, quick)
	shake := func(offers ...string) (chosen string, err error) {
		cfg := s.TLS.Clone()
		cfg.ServerName, cfg.NextProtos = "localhost", offers
		c, err := tls.Dial("tcp", s.Up.Relay.Addr().String(), cfg)
		if err != nil {
			return "", err
		}
		defer c.Close()
		return c.ConnectionState().NegotiatedProtocol, nil
	}
	const next = "trunkline/2"
	for _, offers := range [][]string{{tunnel.ALPN, next}, {next, tunnel.ALPN}} {
		if chosen, err := shake(offers...); err != nil || chosen != tunnel.ALPN {
			t.Errorf("an agent that offers %v gets %q, %v", offers, chosen, err)
		}
	}
	var alert *net.OpError
	if chosen, err := shake(next); !errors.As(err, &alert) || !strings.Contains(err.Error(), "no application protocol") {
		t.Errorf("an agent that knows %s alone gets %q, %v", next, chosen, err)
	}

	p := s.puppet(t, "3631A20C0204")
	for _, version := range []any{0, 2, 99} {
		s.leaves(t, refusedTunnel(fault.VersionMismatch), func() fault.Code {
			conn := s.open(t, "localhost", tunnel.ALPN)
			defer conn.Close()
			conn.Write(block(map[string]any{"version": version, "pass": []int{1}, "new": true})) // of another kind than ours
			code, err := heard(conn)
			if err != nil {
				t.Errorf("version %v: %v", version, err)
			}
			return code
		})
	}
	// What version 1 may say one day, this relay ignores.
	conn := s.open(t, "localhost", tunnel.ALPN)
	defer conn.Close()
	hello := p.hello(t, conn)
	conn.Write(block(slices.Concat([]byte(`{"from_the_next_version":{"a":[1]},`), hello[len("....{"):])))
	if code, err := heard(conn); err != nil || code != "" {
		t.Errorf("a hello with a member more: %s, %v", code, err)
	}
	s.bystander.goesOn(t, 3)
}

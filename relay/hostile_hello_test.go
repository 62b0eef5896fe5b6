package relay_test

import (
	"crypto/ed25519"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"trunkline/cmd/trunkline/up"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/testnet"
	"trunkline/internal/token"
	"trunkline/internal/tunnel"
)

func refusedTunnel(code fault.Code) trace {
	return trace{fmt.Sprintf(`trunkline_relay_tunnels_refused_total{code="%s"}`, code), "tunnel refused", code}
}

// quick makes waits short that a hostile agent draws out, but not so short that a
// good one on a busy machine is late.
func quick(c *up.Config) {
	c.Relay.Tunnels.Hello, c.Relay.Tunnels.FirstStatus = 2*time.Second, 2*time.Second
}

func TestHostilePasses(t *testing.T) {
	s := newStage(t, quick)
	p, stranger := s.puppet(t, "3631A20C0200"), s.puppet(t, "3631A20C0201")
	ours, _ := s.keys(t)
	forger := token.NewSigningKey(time.Now())
	forger.ID = ours.ID
	unknown := token.NewSigningKey(time.Now())
	sign := func(k token.SigningKey, issued, expires time.Duration) string {
		now := time.Now()
		pass, err := token.SignPass(k, token.Pass{
			ID: "x", Device: p.grant.Device, Site: p.grant.Site, Account: id.NewAccount(), Serial: "3631A20C0200",
			Key: p.key.Public().(ed25519.PublicKey), Issued: now.Add(issued), Expires: now.Add(expires),
		})
		if err != nil {
			t.Fatal(err)
		}
		s.secret("a pass", pass)
		return pass
	}
	parts := strings.Split(p.grant.Pass, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"trunkline-pass+jwt","kid":"` + ours.ID + `"}`))
	hmac := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"trunkline-pass+jwt","kid":"` + ours.ID + `"}`))
	for _, c := range []struct {
		name, pass string
		code       fault.Code
	}{
		{"signed by a forger in our name", sign(forger, 0, time.Hour), fault.PassInvalid},
		{"signed by nobody we know", sign(unknown, 0, time.Hour), fault.PassInvalid},
		{"no signature", none + "." + parts[1] + ".", fault.PassInvalid},
		{"another algorithm", hmac + "." + parts[1] + "." + parts[2], fault.PassInvalid},
		{"other claims", parts[0] + "." + strings.Split(stranger.grant.Pass, ".")[1] + "." + parts[2], fault.PassInvalid},
		{"no pass at all", "xyz", fault.PassInvalid},
		{"far too long", strings.Repeat("a.", 2500), fault.PassInvalid},
		{"expired", sign(ours, -25*time.Hour, -time.Hour), fault.PassExpired},
		{"of a control whose clock is hours ahead", sign(ours, 5*time.Hour, 29*time.Hour), fault.PassEarly},
		{"another device's", stranger.grant.Pass, fault.ProofInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.leaves(t, refusedTunnel(c.code), func() fault.Code {
				_, err := p.dial(t, c.pass)
				return fault.CodeOf(err)
			})
		})
	}
	t.Run("replayed hello", p.replay)
	t.Run("removed device", func(t *testing.T) {
		if err := s.API.RemoveDevice(t.Context(), p.grant.Device); err != nil {
			t.Fatal(err)
		}
		s.leaves(t, refusedTunnel(fault.DeviceRemoved), func() fault.Code {
			_, err := p.dial(t, "")
			return fault.CodeOf(err)
		})
	})
	s.bystander.goesOn(t, 3)
}

// What was good on one connection is worth nothing on another.
func (p *puppet) replay(t *testing.T) {
	first := p.s.open(t, "localhost", tunnel.ALPN)
	recorded := p.hello(t, first)
	first.Write(recorded)
	if code, err := heard(first); code != "" || err != nil {
		t.Fatalf("the hello itself: %s, %v", code, err)
	}
	p.s.leaves(t, refusedTunnel(fault.ProofInvalid), func() fault.Code {
		second := p.s.open(t, "localhost", tunnel.ALPN)
		defer second.Close()
		second.Write(recorded)
		code, err := heard(second)
		if err != nil {
			t.Error(err)
		}
		return code
	})
}

func TestHostileHellos(t *testing.T) {
	s := newStage(t, quick)
	p := s.puppet(t, "3631A20C0202")
	noise := make([]byte, 4096)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	noise[0] = 0x80 // else it could by chance be the length of more noise
	proof := make([]byte, 64)
	for _, c := range []struct {
		name string
		code fault.Code
		say  []byte
	}{
		{"random bytes", fault.Protocol, noise},
		{"HTTP", fault.Protocol, []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")},
		{"4 GiB announced", fault.Protocol, []byte{0xff, 0xff, 0xff, 0xff, '{'}},
		{"a byte too long", fault.Protocol, block(slices.Repeat([]byte(" "), 8193))},
		{"empty", fault.Protocol, block([]byte{})},
		{"no JSON", fault.Protocol, block([]byte("\xff\xfe{"))},
		{"deep JSON", fault.Protocol, block(slices.Repeat([]byte("["), 8000))},
		{"another version", fault.VersionMismatch, block(map[string]any{"version": 2})},
		{"no pass", fault.Protocol, block(map[string]any{"version": 1, "proof": proof})},
		{"short proof", fault.Protocol, block(map[string]any{"version": 1, "pass": p.grant.Pass, "proof": proof[:63]})},
		{"proof of zeros", fault.ProofInvalid, block(map[string]any{"version": 1, "pass": p.grant.Pass, "proof": proof})},
		{"log forgery", fault.Protocol, block(map[string]any{"version": 1, "pass": "x", "proof": proof, "agent": map[string]string{"version": "1\nERROR"}})},
		{"silence", fault.HelloTimeout, nil},
		{"half of it, then silence", fault.HelloTimeout, block(noise[:100])[:50]},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.leaves(t, refusedTunnel(c.code), func() fault.Code {
				conn := s.open(t, "localhost", tunnel.ALPN)
				defer conn.Close()
				began := time.Now()
				conn.Write(c.say)
				code, err := heard(conn)
				if err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took > 20*time.Second {
					t.Errorf("took %v", took)
				}
				return code
			})
		})
	}
	t.Run("half of it, then gone", func(t *testing.T) {
		s.leaves(t, refusedTunnel(fault.ConnectionLost), func() fault.Code {
			conn := s.open(t, "localhost", tunnel.ALPN)
			conn.Write(p.hello(t, conn)[:99])
			conn.NetConn().(*net.TCPConn).SetLinger(0)
			conn.NetConn().Close()
			return fault.ConnectionLost // nobody is there to be told
		})
	})
	t.Run("TLS 1.2", s.oldTLS)
	s.bystander.goesOn(t, 3)
}

func (s *stage) oldTLS(t *testing.T) {
	failed := `trunkline_relay_connections_total{kind="failed"}`
	before := s.metrics(t)[failed]
	cfg := s.TLS.Clone()
	cfg.ServerName, cfg.NextProtos, cfg.MaxVersion = "localhost", []string{tunnel.ALPN}, tls.VersionTLS12
	c, err := tls.Dial("tcp", s.Up.Relay.Addr().String(), cfg)
	if err == nil {
		c.Close()
		t.Fatal("a tunnel over TLS 1.2 was taken")
	}
	if !strings.Contains(err.Error(), "protocol version not supported") { // the alert's name; its type is not exported
		t.Errorf("the agent is told: %v", err)
	}
	testnet.Eventually(t, "it is counted", func() error { // the alert goes before
		if got := s.metrics(t)[failed]; got <= before {
			return fmt.Errorf("%s did not move", failed)
		}
		return nil
	})
}

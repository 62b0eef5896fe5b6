package relay_test

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/yamux"
	"go.uber.org/zap"

	"trunkline/cmd/trunkline/up"
	"trunkline/control/fleet"
	"trunkline/control/store"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/testnet"
	"trunkline/internal/token"
	"trunkline/internal/tunnel"
)

// puppet is a device whose agent is in the test's hands.
type puppet struct {
	s     *stage
	key   ed25519.PrivateKey
	grant controlapi.Grant
}

func (s *stage) puppet(t *testing.T, sn id.Serial) *puppet {
	t.Helper()
	q, key := s.activation(sn)
	g, err := s.Client().Activate(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	s.secret("a pass", g.Pass)
	return &puppet{s: s, key: key, grant: g}
}

// dial says hello with a pass; "" is the puppet's own.
func (p *puppet) dial(t *testing.T, pass string) (*tunnel.Agent, error) {
	t.Helper()
	if pass == "" {
		pass = p.grant.Pass
	}
	return tunnel.Dial(t.Context(), p.s.open(t, "localhost", tunnel.ALPN), tunnel.Config{}, pass, p.key, tunnel.AgentInfo{Version: "puppet"})
}

// tunnelTLS is an agent's connection before its handshake.
func (s *stage) tunnelTLS(raw net.Conn) *tls.Conn {
	cfg := s.TLS.Clone()
	cfg.ServerName, cfg.NextProtos = "localhost", []string{tunnel.ALPN}
	return tls.Client(raw, cfg)
}

// hello is what goes over the wire, for connection c.
func (p *puppet) hello(t *testing.T, c *tls.Conn) []byte {
	t.Helper()
	state := c.ConnectionState()
	exporter, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
	if err != nil {
		t.Fatal(err)
	}
	return block(map[string]any{"version": 1, "pass": p.grant.Pass, "proof": tunnel.Proof(p.key, exporter, p.grant.Pass)})
}

// block is v in JSON, or bytes as they are, behind their length.
func block(v any) []byte {
	b, raw := v.([]byte)
	if !raw {
		b, _ = json.Marshal(v)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// heard is the code of the relay's answer to a hello, "" for a welcome.
func heard(c io.Reader) (fault.Code, error) {
	var n [4]byte
	if _, err := io.ReadFull(c, n[:]); err != nil {
		return "", err
	}
	b := make([]byte, binary.BigEndian.Uint32(n[:])&0xffff)
	if _, err := io.ReadFull(c, b); err != nil {
		return "", err
	}
	var a struct {
		Welcome map[string]any             `json:"welcome"`
		Refusal *struct{ Code fault.Code } `json:"refusal"`
	}
	if err := json.Unmarshal(b, &a); err != nil || (a.Welcome == nil) == (a.Refusal == nil) {
		return "", fmt.Errorf("answer %q: %w", b, err)
	}
	if a.Refusal == nil {
		return "", nil
	}
	return a.Refusal.Code, nil
}

// admitted is a connection behind its welcome, multiplexed by hand.
func (p *puppet) admitted(t *testing.T) *tls.Conn {
	t.Helper()
	up := func() int {
		return p.s.logs.FilterMessage("tunnel up").FilterField(zap.String("device", string(p.grant.Device))).Len()
	}
	before := up()
	c := p.s.open(t, "localhost", tunnel.ALPN)
	c.Write(p.hello(t, c))
	if code, err := heard(c); code != "" || err != nil {
		t.Fatalf("not admitted: %s, %v", code, err)
	}
	testnet.Eventually(t, "the tunnel is up", func() error { // who breaks off before is refused
		if up() == before {
			return errors.New("not yet")
		}
		return nil
	})
	return c
}

func refusedTunnel(code fault.Code) trace {
	return trace{fmt.Sprintf(`trunkline_relay_tunnels_refused_total{code="%s"}`, code), "tunnel refused", code}
}

func endedTunnel(code fault.Code) trace {
	return trace{fmt.Sprintf(`trunkline_relay_tunnels_ended_total{code="%s"}`, code), "tunnel down", code}
}

// keys reads the installation's own out of its database: nobody else can
// forge what is tested with them.
func (s *stage) keys(t *testing.T) (signing token.SigningKey, seal token.SealKey) {
	t.Helper()
	db, err := store.OpenSQLite(t.Context(), filepath.Join(s.Data, "trunkline.db"), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.View(t.Context(), func(tx fleet.Tx) error {
		a, err1 := tx.SigningKeys()
		b, err2 := tx.SealKeys()
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		signing, seal = a[0], b[0]
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return signing, seal
}

// quick makes waits short that a hostile agent draws out.
func quick(c *up.Config) {
	c.Relay.Tunnels.Hello, c.Relay.Tunnels.FirstStatus = 500*time.Millisecond, time.Second
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
	if got := s.metrics(t)[failed]; got <= before {
		t.Errorf("%s did not move", failed)
	}
}

// What an admitted agent may do wrong ends its own tunnel and no other.
func TestHostileTunnels(t *testing.T) {
	s := newStage(t, quick)
	p := s.puppet(t, "3631A20C0203")
	noise := make([]byte, 4096)
	rand.NewChaCha8([32]byte{2}).Read(noise)
	noise[0] = 99 // yamux's version is 0
	ping := block(map[string]any{"type": "ping", "id": 1})
	for _, c := range []struct {
		name string
		code fault.Code
		do   func(*tls.Conn)
	}{
		{"garbage instead of frames", fault.Protocol, func(c *tls.Conn) { c.Write(noise) }},
		{"frame of no type", fault.Protocol, func(c *tls.Conn) { c.Write(frame(7, 0, 1, 0)) }},
		{"a stream towards the relay", fault.Protocol, func(c *tls.Conn) { c.Write(frame(1, 1, 2, 0)) }},
		{"a stream with data at once", fault.Protocol, func(c *tls.Conn) { c.Write(append(frame(0, 1, 2, 5), "hello"...)) }},
		{"many streams, by yamux itself", fault.Protocol, openMany},
		{"more than the window", fault.Protocol, overrun},
		{"yamux pings without end", fault.TooMany, func(c *tls.Conn) { c.Write(slices.Repeat(frame(2, 1, 0, 7), 1000)) }},
		{"control messages without end", fault.TooMany, func(c *tls.Conn) { sendControl(c, slices.Repeat(ping, 1000)) }},
		{"control message without end", fault.Protocol, func(c *tls.Conn) { sendControl(c, []byte{0xff, 0xff, 0xff, 0xff}) }},
		{"control message of no form", fault.Protocol, func(c *tls.Conn) { sendControl(c, block([]byte("status?"))) }},
		{"a portal that is no origin", fault.Protocol, func(c *tls.Conn) {
			sendControl(c, block(map[string]any{"type": "status", "status": map[string]any{"portal": map[string]any{"origin": "http://pbx\r\nX: y"}}}))
		}},
		{"no status", fault.Protocol, func(c *tls.Conn) { sendControl(c, ping) }},
		{"control stream closed", fault.ConnectionLost, func(c *tls.Conn) { c.Write(frame(1, 4, 1, 0)) }},
		{"gone", fault.ConnectionLost, func(c *tls.Conn) { c.NetConn().Close() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.leaves(t, endedTunnel(c.code), func() fault.Code {
				conn := p.admitted(t)
				defer conn.Close()
				c.do(conn)
				code, err := parting(conn)
				if err != nil {
					t.Error(err)
				}
				return cmp.Or(code, c.code) // if nothing was said, the trace alone tells
			})
		})
	}
	s.bystander.goesOn(t, 3)
}

// frame is the header of a yamux frame.
func frame(kind byte, flags uint16, stream, length uint32) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0, kind}, flags)
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, stream), length)
}

// parting is the code of the relay's goodbye, "" if it says none.
func parting(c io.Reader) (fault.Code, error) {
	var said []byte
	for {
		var head [12]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			break // however the connection ends
		}
		if head[1] != 0 {
			continue
		}
		b := make([]byte, binary.BigEndian.Uint32(head[8:]))
		if _, err := io.ReadFull(c, b); err != nil {
			return "", err
		}
		if binary.BigEndian.Uint32(head[4:]) == 1 {
			said = append(said, b...)
		}
	}
	for len(said) > 4 {
		n := 4 + int(binary.BigEndian.Uint32(said))
		if n > len(said) {
			return "", fmt.Errorf("half a control message: %q", said)
		}
		var m struct {
			Type  string
			Fault struct{ Code fault.Code }
		}
		if err := json.Unmarshal(said[4:n], &m); err != nil {
			return "", err
		}
		if m.Type == "goodbye" {
			return m.Fault.Code, nil
		}
		said = said[n:]
	}
	return "", nil
}

// sendControl sends bytes on the control stream, which is 1.
func sendControl(c *tls.Conn, b []byte) {
	for chunk := range slices.Chunk(b, 16<<10) {
		c.Write(append(frame(0, 0, 1, uint32(len(chunk))), chunk...))
	}
}

func overrun(c *tls.Conn) {
	for range 64 { // twice the largest window it could have given meanwhile
		c.Write(append(frame(0, 0, 1, 64<<10), slices.Repeat([]byte{0}, 64<<10)...))
	}
}

func openMany(c *tls.Conn) {
	cfg := yamux.DefaultConfig()
	cfg.LogOutput = io.Discard
	m, err := yamux.Server(c, cfg)
	if err != nil {
		return
	}
	defer m.Close()
	for range 100 {
		if _, err := m.Open(); err != nil {
			return
		}
	}
	<-m.CloseChan()
}

// evil runs a tunnel whose agent answers streams as it likes.
func (p *puppet) evil(t *testing.T, origin string, serve func(net.Conn)) {
	t.Helper()
	a, err := p.dial(t, "")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(done)
		a.Run(ctx, tunnel.AgentHandlers{OnStream: func(_ context.Context, _ tunnel.Header, c net.Conn) {
			defer c.Close()
			serve(c)
		}})
	}()
	t.Cleanup(func() { cancel(); <-done })
	if err := a.SendStatus(tunnel.Status{Portal: tunnel.Portal{Origin: origin}}); err != nil {
		t.Fatal(err)
	}
}

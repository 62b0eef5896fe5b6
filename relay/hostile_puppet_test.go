package relay_test

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"testing"

	"go.uber.org/zap"

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

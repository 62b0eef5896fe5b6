package tunnel_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

// answer is a relay's answer as another implementation would read it.
type answer struct {
	Welcome *struct {
		Version int    `json:"version"`
		Relay   string `json:"relay"`
		Tunnel  string `json:"tunnel"`
		PingMS  int64  `json:"ping_ms"`
	} `json:"welcome"`
	Refusal *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		RetryMS int64  `json:"retry_ms"`
	} `json:"refusal"`
}

// accept runs Accept for one client that speak plays by hand, and returns what
// both sides made of it.
func accept(t *testing.T, cfg tunnel.Config, client *tls.Config, admit func(tunnel.Hello, []byte) (tunnel.Welcome, error), speak func(*tls.Conn)) (a answer, accepted error) {
	t.Helper()
	server, raw := tcpPair(t)
	done := make(chan error, 1)
	go func() {
		r, err := tunnel.Accept(context.Background(), tls.Server(server, serverTLS()), cfg, admit)
		if err == nil {
			r.Kill(errors.New("the test is over"))
			_ = r.Run(context.Background(), tunnel.Handlers{})
		}
		done <- err
	}()
	c := tls.Client(raw, client)
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if err := c.Handshake(); err == nil {
		speak(c)
		var n uint32
		if binary.Read(c, binary.BigEndian, &n) == nil {
			if err := json.NewDecoder(io.LimitReader(c, int64(n))).Decode(&a); err != nil {
				t.Errorf("the answer is no JSON: %v", err)
			}
			if a.Refusal != nil {
				// The relay ended its side: that is how the agent knows it is all.
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
					t.Errorf("after the refusal: %v, want EOF", err)
				}
			}
		}
	}
	c.Close()
	return a, within(t, 20*time.Second, done)
}

func lengthed(s string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...)
}

func bind(c *tls.Conn) []byte {
	s := c.ConnectionState()
	b, err := s.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
	if err != nil {
		panic(err)
	}
	return b
}

func helloJSON(t testing.TB, version int, proof []byte) string {
	b, err := json.Marshal(map[string]any{
		"version": version, "pass": pass, "proof": proof, "agent": map[string]string{"version": "0"}, "later": "ignored",
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestBadHellosAreRefusedWithACode(t *testing.T) {
	proof := make([]byte, ed25519.SignatureSize)
	cases := []struct {
		name string
		send []byte
		code fault.Code
	}{
		{"garbage", []byte("GET / HTTP/1.1\r\nHost: relay\r\n\r\n"), fault.Protocol},
		{"not json", lengthed("{"), fault.Protocol},
		{"json and more", lengthed(helloJSON(t, 1, proof) + "x"), fault.Protocol},
		{"empty", lengthed(""), fault.Protocol},
		{"oversized", []byte{0, 0, 0x20, 0x01}, fault.Protocol},
		{"4 GiB", []byte{0xff, 0xff, 0xff, 0xff}, fault.Protocol},
		{"version 2", lengthed(`{"version":2,"pass":["of","another","kind"]}`), fault.VersionMismatch},
		{"no version", lengthed(`{}`), fault.VersionMismatch},
		{"no pass", lengthed(`{"version":1,"proof":""}`), fault.Protocol},
		{"short proof", lengthed(helloJSON(t, 1, proof[1:])), fault.Protocol},
		{"control characters", lengthed(strings.Replace(helloJSON(t, 1, proof), `"0"`, `"\n"`, 1)), fault.Protocol},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			a, err := accept(t, tunnel.Config{}, clientTLS(), admitAll, func(c *tls.Conn) { _, _ = c.Write(tc.send) })
			wantCode(t, err, tc.code)
			if a.Refusal == nil || a.Refusal.Code != string(tc.code) || a.Refusal.Message == "" {
				t.Errorf("the agent read %+v", a.Refusal)
			}
		})
	}
}

func TestHelloFromAnotherImplementation(t *testing.T) {
	pub, key, _ := ed25519.GenerateKey(rand.Reader)
	a, err := accept(t, tunnel.Config{Ping: 7 * time.Second}, clientTLS(), verify(pub), func(c *tls.Conn) {
		_, _ = c.Write(lengthed(helloJSON(t, 1, tunnel.Proof(key, bind(c), pass))))
	})
	// The client left right after the welcome: that is no fault of the hello.
	if err != nil && fault.CodeOf(err) != fault.ConnectionLost {
		t.Fatal(err)
	}
	if a.Welcome == nil || a.Welcome.Version != 1 || a.Welcome.Relay != "relay-1" || a.Welcome.PingMS != 7000 {
		t.Errorf("got %+v", a.Welcome)
	}
}

func verify(pub ed25519.PublicKey) func(tunnel.Hello, []byte) (tunnel.Welcome, error) {
	return func(h tunnel.Hello, exporter []byte) (tunnel.Welcome, error) {
		if !tunnel.VerifyProof(pub, exporter, h.Pass, h.Proof) {
			return tunnel.Welcome{}, fault.New(fault.ProofInvalid, "no").After(time.Minute)
		}
		return admitAll(h, exporter)
	}
}

// Whoever has read a whole hello, the pass in it included, gets in nowhere.
func TestReplayedHello(t *testing.T) {
	pub, key, _ := ed25519.GenerateKey(rand.Reader)
	var hello []byte
	a, _ := accept(t, tunnel.Config{}, clientTLS(), verify(pub), func(c *tls.Conn) {
		hello = lengthed(helloJSON(t, 1, tunnel.Proof(key, bind(c), pass)))
		_, _ = c.Write(hello)
	})
	if a.Welcome == nil {
		t.Fatalf("a good hello was refused: %+v", a.Refusal)
	}
	a, err := accept(t, tunnel.Config{}, clientTLS(), verify(pub), func(c *tls.Conn) { _, _ = c.Write(hello) })
	wantCode(t, err, fault.ProofInvalid)
	if a.Refusal == nil || a.Refusal.Code != "proof_invalid" || a.Refusal.RetryMS != 60_000 {
		t.Errorf("the agent read %+v", a.Refusal)
	}
}

func TestForgedProofs(t *testing.T) {
	pub, key, _ := ed25519.GenerateKey(rand.Reader)
	_, other, _ := ed25519.GenerateKey(rand.Reader)
	exp := make([]byte, 32)
	good := tunnel.Proof(key, exp, pass)
	if !tunnel.VerifyProof(pub, exp, pass, good) {
		t.Fatal("a good proof fails")
	}
	f := func(what string, ok bool) {
		t.Helper()
		if ok {
			t.Errorf("accepted: %s", what)
		}
	}
	f("another key's", tunnel.VerifyProof(pub, exp, pass, tunnel.Proof(other, exp, pass)))
	f("another connection's", tunnel.VerifyProof(pub, append([]byte{1}, exp[1:]...), pass, good))
	f("another pass's", tunnel.VerifyProof(pub, exp, pass+"x", good))
	f("short exporter", tunnel.VerifyProof(pub, nil, pass, tunnel.Proof(key, nil, pass)))
	f("no proof", tunnel.VerifyProof(pub, exp, pass, nil))
	f("no key", tunnel.VerifyProof(nil, exp, pass, good))
	f("the bare message signed", tunnel.VerifyProof(pub, exp, pass, ed25519.Sign(key, []byte(pass))))
}

func TestHalfAHelloThenSilence(t *testing.T) {
	t.Parallel()
	for _, send := range []string{"", "\x00\x00", "\x00\x00\x01\x00{\"version\":1,"} {
		a, err := accept(t, tunnel.Config{HelloTimeout: time.Second}, clientTLS(), admitAll, func(c *tls.Conn) { _, _ = c.Write([]byte(send)) })
		wantCode(t, err, fault.HelloTimeout)
		if a.Refusal == nil || a.Refusal.Code != "hello_timeout" {
			t.Errorf("the agent read %+v", a.Refusal)
		}
	}
}

func TestNoTLSAtAll(t *testing.T) {
	server, client := tcpPair(t)
	_, _ = client.Write([]byte("hello, is this the relay?\r\n"))
	_, err := tunnel.Accept(t.Context(), tls.Server(server, serverTLS()), tunnel.Config{}, admitAll)
	wantCode(t, err, fault.Protocol)
}

func TestSilenceBeforeTLS(t *testing.T) {
	server, _ := tcpPair(t)
	_, err := tunnel.Accept(t.Context(), tls.Server(server, serverTLS()), tunnel.Config{HelloTimeout: 50 * time.Millisecond}, admitAll)
	wantCode(t, err, fault.HelloTimeout)
}

func TestWrongTLS(t *testing.T) {
	f := func(what string, change func(*tls.Config)) {
		t.Helper()
		c := clientTLS()
		change(c)
		_, err := accept(t, tunnel.Config{}, c, admitAll, func(*tls.Conn) {})
		if fault.CodeOf(err) != fault.Protocol {
			t.Errorf("%s: %v", what, err)
		}
	}
	f("TLS 1.2", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })
	f("no ALPN", func(c *tls.Config) { c.NextProtos = nil })
	f("another ALPN", func(c *tls.Config) { c.NextProtos = []string{"h2"} })
}

func TestAcceptEndsWithItsContext(t *testing.T) {
	server, client := tcpPair(t)
	c := tls.Client(client, clientTLS())
	ctx, cancel := context.WithCancel(t.Context())
	go func() { _ = c.Handshake(); cancel() }()
	start := time.Now()
	if _, err := tunnel.Accept(ctx, tls.Server(server, serverTLS()), tunnel.Config{}, admitAll); err == nil {
		t.Fatal("accepted")
	}
	if d := time.Since(start); d > 9*time.Second { // the hello has 10 s
		t.Errorf("took %v", d)
	}
}

func TestDialReturnsTheRelaysRefusal(t *testing.T) {
	f := func(admitErr error, code fault.Code, message string, retry time.Duration) {
		t.Helper()
		server, client := tcpPair(t)
		go func() {
			_, _ = tunnel.Accept(context.Background(), tls.Server(server, serverTLS()), tunnel.Config{}, func(tunnel.Hello, []byte) (tunnel.Welcome, error) {
				return tunnel.Welcome{}, admitErr
			})
		}()
		_, key, _ := ed25519.GenerateKey(rand.Reader)
		_, err := tunnel.Dial(t.Context(), tls.Client(client, clientTLS()), tunnel.Config{}, pass, key, info)
		var got *fault.Error
		if !errors.As(err, &got) || got.Code != code || got.Message != message || got.Retry != retry {
			t.Errorf("got %#v", err)
		}
	}
	f(fault.New(fault.Draining, "Elsewhere, please.").After(1500*time.Millisecond), fault.Draining, "Elsewhere, please.", 1500*time.Millisecond)
	// What is not meant for the agent does not reach it.
	f(errors.New("dial tcp 10.0.0.1: secret"), fault.Internal, "Something went wrong at the other end.", 0)
	// A message of any length gets through, shortened.
	f(fault.New(fault.Draining, "%s", strings.Repeat("é", 10_000)), fault.Draining, strings.Repeat("é", 512), 0)
}

func TestDialMeetsARelayThatIsNone(t *testing.T) {
	t.Parallel()
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	f := func(code fault.Code, serve func(*tls.Conn)) {
		t.Helper()
		server, client := tcpPair(t)
		go func() {
			c := tls.Server(server, serverTLS())
			if c.Handshake() == nil {
				serve(c)
			}
		}()
		_, err := tunnel.Dial(t.Context(), tls.Client(client, clientTLS()), tunnel.Config{HelloTimeout: 300 * time.Millisecond}, pass, key, info)
		wantCode(t, err, code)
	}
	welcome := `{"welcome":{"version":1,"relay":"r","tunnel":"` + string(id.NewTunnel()) + `","ping_ms":20000}}`
	f(fault.HelloTimeout, func(*tls.Conn) {})
	f(fault.Internal, func(c *tls.Conn) { c.Close() })
	f(fault.Protocol, func(c *tls.Conn) { _, _ = c.Write(lengthed(`{}`)) })
	f(fault.Protocol, func(c *tls.Conn) { _, _ = c.Write(lengthed(strings.Replace(welcome, ":1,", ":2,", 1))) })
	// A welcome and then no control stream.
	f(fault.Internal, func(c *tls.Conn) { _, _ = c.Write(lengthed(welcome)) })
}

var _ net.Conn = (*tunnel.Stream)(nil)

package tunnel_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/yamux"

	"trunkline/internal/fault"
	"trunkline/internal/tunnel"
)

// stranger is an agent that somebody else wrote: hello by hand, then yamux as
// it comes.
type stranger struct {
	tls   *tls.Conn
	relay *tunnel.Relay
	run   chan error
	got   chan tunnel.Status
}

func meetStranger(t *testing.T, cfg tunnel.Config) *stranger {
	t.Helper()
	server, client := tcpPair(t)
	pub, key, _ := ed25519.GenerateKey(rand.Reader)
	s := &stranger{tls: tls.Client(client, clientTLS()), run: make(chan error, 1), got: make(chan tunnel.Status, 100)}
	accepted := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r, err := tunnel.Accept(context.Background(), tls.Server(server, serverTLS()), cfg, verify(pub))
		s.relay = r
		close(accepted)
		if err == nil {
			err = r.Run(context.Background(), tunnel.Handlers{OnStatus: func(st tunnel.Status) { s.got <- st }})
		}
		s.run <- err
	}()
	t.Cleanup(func() { client.Close(); <-ended })
	if err := s.tls.Handshake(); err != nil {
		t.Fatal(err)
	}
	_, _ = s.tls.Write(lengthed(helloJSON(t, 1, tunnel.Proof(key, bind(s.tls), pass))))
	var n uint32
	if err := binary.Read(s.tls, binary.BigEndian, &n); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, s.tls, int64(n)); err != nil {
		t.Fatal(err)
	}
	<-accepted
	return s
}

// mux goes on with yamux as its library has it, keep-alive pings and all.
func (s *stranger) mux(t *testing.T) (*yamux.Session, net.Conn) {
	t.Helper()
	return s.muxWith(t, true)
}

func (s *stranger) muxWith(t *testing.T, pings bool) (*yamux.Session, net.Conn) {
	t.Helper()
	cfg := yamux.DefaultConfig()
	cfg.LogOutput = io.Discard
	cfg.EnableKeepAlive, cfg.KeepAliveInterval = pings, 50*time.Millisecond
	m, err := yamux.Server(s.tls, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	control, err := m.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return m, control
}

func TestStrangersAgentWorks(t *testing.T) {
	s := meetStranger(t, tunnel.Config{})
	m, control := s.mux(t)
	_, _ = control.Write(lengthed(`{"type":"of a later version","id":"what"}`))
	_, _ = control.Write(lengthed(`{"type":"drain","deadline_ms":1}`)) // not an agent's to say: ignored too
	_, _ = control.Write(lengthed(`{"type":"status","status":{"portal":{"origin":"http://pbx"},"new":1},"more":[]}`))
	if st := within(t, 20*time.Second, s.got); st.Portal.Origin != "http://pbx" {
		t.Errorf("got %+v", st)
	}
	_, _ = control.Write(lengthed(`{"type":"ping","id":42}`))
	var n uint32
	if err := binary.Read(control, binary.BigEndian, &n); err != nil {
		t.Fatal(err)
	}
	var pong map[string]any
	if err := json.NewDecoder(io.LimitReader(control, int64(n))).Decode(&pong); err != nil || pong["type"] != "pong" || pong["id"] != 42.0 {
		t.Errorf("got %v, %v", pong, err)
	}
	st, err := s.relay.Open(t.Context(), tunnel.Header{Service: "portal", Who: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	c, err := m.Accept()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"service":"portal","who":"ann"}`
	head := make([]byte, 3+len(want))
	if _, err := io.ReadFull(c, head); err != nil || head[0] != 1 || int(head[2]) != len(want) || string(head[3:]) != want {
		t.Errorf("header %q, %v", head, err)
	}
	_, _ = c.Write([]byte("\x00pong"))
	b := make([]byte, 4)
	if _, err := io.ReadFull(st, b); err != nil || string(b) != "pong" {
		t.Errorf("read %q, %v", b, err)
	}
	// yamux's own close is ours.
	c.Close()
	if _, err := st.Read(b); err != io.EOF {
		t.Errorf("got %v", err)
	}
}

func TestAgentThatOpensStreams(t *testing.T) {
	s := meetStranger(t, tunnel.Config{})
	m, control := s.mux(t)
	_, _ = m.Open() // the relay may have ended the session before this returns
	wantCode(t, within(t, 20*time.Second, s.run), fault.Protocol)
	// It is told so.
	b, _ := io.ReadAll(control)
	if !strings.Contains(string(b), `"goodbye"`) || !strings.Contains(string(b), `"protocol_error"`) {
		t.Errorf("the agent read %q", b)
	}
}

func TestMalformedControlMessages(t *testing.T) {
	for _, send := range []string{
		"GET / HTTP/1.1\r\n\r\n", "\x00\x01\x00\x01", "\xff\xff\xff\xff",
		string(lengthed("")), string(lengthed("[]")), string(lengthed(`{}`)), string(lengthed(`{"type":"status"}`)),
		string(lengthed(`{"type":"status","status":{"portal":{"origin":"javascript:alert(1)"}}}`)),
		string(lengthed(`{"type":"status","status":{"portal":{"origin":"http://pbx/path"}}}`)),
		string(lengthed(`{"type":"status","status":{"region":"` + strings.Repeat("a", 64) + `"}}`)),
		string(lengthed(`{"type":"pass"}`)), string(lengthed(`{"type":"goodbye"}`)), string(lengthed(`{"type":"ping","id":-1}`)),
		string(lengthed(`{"type":"home","deadline_ms":1}`)), string(lengthed(`{"type":"home","relays":["relay-2.example.com"]}`)),
		string(lengthed(`{"type":"home","deadline_ms":-1,"relays":["relay-2.example.com:8443"]}`)),
		string(lengthed(`{"type":"renew","within_ms":-1}`)), string(lengthed(`{"type":"renew","within_ms":86400001}`)),
		string(lengthed(`{"type":"end_visit"}`)), string(lengthed(`{"type":"end_visit","visit":{"id":"vis_0"}}`)),
		string(lengthed(`{"type":"end_visit","visit":{"id":"dev_0123456789abcdef"}}`)),
	} {
		s := meetStranger(t, tunnel.Config{})
		_, control := s.mux(t)
		_, _ = control.Write([]byte(send))
		if err := within(t, 20*time.Second, s.run); fault.CodeOf(err) != fault.Protocol {
			t.Errorf("%q: %v", send, err)
		}
		s.tls.NetConn().Close()
	}
}

func TestGarbageInsteadOfFrames(t *testing.T) {
	t.Parallel()
	f := func(send string) {
		t.Helper()
		s := meetStranger(t, tunnel.Config{})
		_, _ = s.tls.Write([]byte(send))
		if err := within(t, 20*time.Second, s.run); fault.CodeOf(err) != fault.Protocol {
			t.Errorf("%q: %v", send, err)
		}
	}
	f("GET / HTTP/1.1\r\nHost: relay\r\n\r\n")
	f("\x00\x09\x00\x00" + "\x00\x00\x00\x01" + "\x00\x00\x00\x00")  // unknown type
	f("\x00\x01\x00\x02" + "\x00\x00\x00\x01" + "\x00\x00\x00\x00" + // the control stream is taken,
		"\x00\x00\x00\x00" + "\x00\x00\x00\x01" + "\x00\x80\x00\x00" + "more than a window") // and overrun
	f("\x00\x01\x00\x01" + "\x00\x00\x00\x02" + "\x00\x00\x00\x00") // SYN
}

func TestControlFlood(t *testing.T) {
	s := meetStranger(t, tunnel.Config{})
	_, control := s.mux(t)
	go func() {
		for range 10_000 {
			if _, err := control.Write(lengthed(`{"type":"status","status":{"portal":{"origin":""}}}`)); err != nil {
				return
			}
		}
	}()
	wantCode(t, within(t, 20*time.Second, s.run), fault.TooMany)
	if n := len(s.got); n > 80 {
		t.Errorf("%d statuses got through", n)
	}
}

// yamux answers every ping with a goroutine of its own; an agent that pings
// and never reads could make any number of them.
func TestMuxPingFlood(t *testing.T) {
	s := meetStranger(t, tunnel.Config{})
	before := runtime.NumGoroutine()
	ping := []byte("\x00\x02\x00\x01" + "\x00\x00\x00\x00" + "\x00\x00\x00\x07")
	go func() { _, _ = s.tls.Write([]byte(strings.Repeat(string(ping), 100_000))) }()
	wantCode(t, within(t, 20*time.Second, s.run), fault.TooMany)
	if n := runtime.NumGoroutine(); n > before+100 {
		t.Errorf("%d goroutines, %d before", n, before)
	}
}

// An agent that never answers a close cannot make the relay keep its streams.
func TestUnansweredCloseIsForgotten(t *testing.T) {
	s := meetStranger(t, tunnel.Config{})
	_, control := s.mux(t)
	_ = control
	for range 50 {
		st, err := s.relay.Open(t.Context(), tunnel.Header{Service: "portal"})
		if err != nil {
			t.Fatal(err)
		}
		st.Close()
	}
	if n := s.relay.Streams(); n != 0 {
		t.Errorf("%d streams", n)
	}
	s.tls.NetConn().Close()
	wantCode(t, within(t, 20*time.Second, s.run), fault.ConnectionLost)
}

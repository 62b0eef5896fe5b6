package peer_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/cork"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/mux"
	"trunkline/internal/peercert"
)

// Who is no relay of ours does not get beyond the handshake.
func TestStrangersStayOutside(t *testing.T) {
	a, _, second := pair(t)
	eventually(t, "relay-2 has a certificate", func() error {
		_, err := stranger(t, second, certificate(t, a, "relay-1"))
		return err
	})
	refused := func(what string, cert *tls.Certificate) {
		t.Helper()
		c, err := stranger(t, second, cert)
		if err != nil {
			return
		}
		// In TLS 1.3 the client is done before the server has seen its certificate.
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: is in", what)
		}
	}
	refused("no certificate", nil)
	refused("another authority's", certificate(t, peercert.NewAuthority(time.Now()), "relay-1"))
	refused("a relay without a lease", certificate(t, a, "relay-9"))
	expired := peercert.NewAuthority(time.Now().Add(-2 * peercert.AuthorityActive))
	refused("an authority's that has ended", certificate(t, expired, "relay-1"))
}

// Another relay answers where relay-2 says it is: by mistake, or on purpose.
func TestAnotherRelayAnswers(t *testing.T) {
	a := peercert.NewAuthority(time.Now())
	first, third := start(t, a, "relay-1"), start(t, a, "relay-3")
	third.hears(first.lease())
	third.admits(device(t, echo))
	lie := third.lease()
	lie.Relay = "relay-2"
	first.hears(lie)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := first.Open(ctx, "relay-2", question()); fault.CodeOf(err) != fault.RelayAway {
		t.Errorf("%v, want %s", err, fault.RelayAway)
	}
}

// hostile is a link by somebody who has relay-1's certificate, without what
// keeps to the rules.
func hostile(t *testing.T, a peercert.Authority, r *relay) *tls.Conn {
	t.Helper()
	r.hears(bus.Lease{Relay: "relay-6", Peer: "127.0.0.1:1", Started: time.Now()}) // it speaks no version that is dialled
	var c *tls.Conn
	eventually(t, "a link", func() (err error) {
		c, err = stranger(t, r, certificate(t, a, "relay-6"))
		return err
	})
	return c
}

func session(t *testing.T, c *tls.Conn) *mux.Session {
	t.Helper()
	raw := cork.New(c)
	s := mux.New(mux.Config{Client: true, BothWays: true, Addrs: c, MaxStreams: 1 << 20, Accept: func(s *mux.Stream) { s.Close() },
		Write: func(b []byte) error { _, err := raw.Write(b); return err }})
	done := make(chan struct{})
	go func() {
		defer close(done)
		var r mux.Reader
		defer r.Release()
		for {
			n, err := c.Read(r.Room())
			if n > 0 && r.Took(s, n) != nil || err != nil {
				s.Fail(nil)
				return
			}
		}
	}()
	t.Cleanup(func() { c.Close(); <-done })
	return s
}

// goesOn says that what others do at r does not suffer.
func goesOn(t *testing.T, first *relay) {
	t.Helper()
	s := first.open(question())
	if _, err := s.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

func TestJunkEndsItsLink(t *testing.T) {
	a, first, second := pair(t)
	second.admits(device(t, echo))
	c := hostile(t, a, second)
	_, _ = c.Write(bytes.Repeat([]byte("junk"), 1000)) // the link may be over before all of it is written
	if _, err := io.Copy(io.Discard, c); errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the link goes on: %v", err)
	}
	goesOn(t, first)
}

func TestHostileHeadersAreRefused(t *testing.T) {
	a, first, second := pair(t)
	second.admits(device(t, echo))
	s := session(t, hostile(t, a, second))
	header := func(version byte, body string) []byte {
		return append(binary.BigEndian.AppendUint16([]byte{version}, uint16(len(body))), body...)
	}
	fields := fmt.Sprintf(`"device":"%s","service":"portal","visit":"%s"`, id.NewDevice(), id.NewVisit())
	refused := func(what string, b []byte, code fault.Code) {
		t.Helper()
		x, err := s.Open(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		if _, err := x.Write(b); err != nil {
			t.Fatal(err)
		}
		_ = x.SetReadDeadline(time.Now().Add(patience))
		got, err := io.ReadAll(x)
		if err != nil || len(got) < 3 || got[0] != 1 || !bytes.Contains(got, []byte(`"code":"`+code+`"`)) {
			t.Errorf("%s: answered %q, %v, want %s", what, got, err, code)
		}
	}
	refused("another version", header(9, `{}`), fault.VersionMismatch)
	refused("a second hop", header(1, `{"hop":2,"from":"relay-6",`+fields+`}`), fault.Loop)
	refused("another's name", header(1, `{"hop":1,"from":"relay-1",`+fields+`}`), fault.Protocol)
	refused("no JSON", header(1, `device`), fault.Protocol)
	refused("no device", header(1, `{"hop":1,"from":"relay-6"}`), fault.Protocol)
	refused("a device that is none", header(1, `{"hop":1,"from":"relay-6","device":"../../etc","service":"portal"}`), fault.Protocol)
	refused("a notice of nothing", header(1, `{"hop":1,"from":"relay-6","notice":"leaving"}`), fault.Protocol)
	goesOn(t, first)
}

// More streams than a link may have are reset, and nobody else's.
func TestTooManyStreams(t *testing.T) {
	a, first, second := pair(t)
	second.admits(device(t, echo))
	s := session(t, hostile(t, a, second))
	for n := range 9000 {
		x, err := s.Open(nil)
		if err != nil {
			if n < 8192 {
				t.Errorf("the link ended at %d streams: %v", n, err)
			}
			break
		}
		x.Announce()
	}
	goesOn(t, first)
}

package testnet_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"trunkline/cmd/trunkline/up"
	"trunkline/internal/controlapi"
	"trunkline/internal/id"
	"trunkline/internal/pbxsim"
	"trunkline/internal/testnet"
	"trunkline/internal/visitor"
)

// crossing is a visit that comes to relay-2, to a PBX that is connected to the
// world's own relay.
type crossing struct {
	*testnet.World
	more    *testnet.More
	portal  *pbxsim.Portal
	pbx     *testnet.PBX
	relay   *testnet.Relay
	visitor *visitor.Visitor
}

func cross(t *testing.T) *crossing {
	t.Helper()
	return crossAt(t, nil)
}

// crossAt is cross in a world that configure has seen, if it is not nil.
func crossAt(t *testing.T, configure func(*up.Config)) *crossing {
	t.Helper()
	c := &crossing{more: &testnet.More{Names: []id.Relay{"relay-2", "relay-3"}}}
	c.World = testnet.Start(t, func(cfg *up.Config) {
		c.more.WithRelays(cfg)
		if configure != nil {
			configure(cfg)
		}
	})
	c.portal = c.Portal(nil)
	c.pbx = c.Connect("3631A20C0042", c.portal.URL()) // to the only relay there is yet
	c.relay = c.Relay(c.more, "relay-2", nil)
	c.visitor = c.pbx.Visit()
	c.Through(c.visitor, c.relay.Addr())
	return c
}

// send is a request whose answer the test closes.
func (c *crossing) send(method, path string, body io.Reader) *http.Response {
	c.T.Helper()
	r, err := http.NewRequestWithContext(c.T.Context(), method, c.visitor.Origin+path, body)
	if err != nil {
		c.T.Fatal(err)
	}
	r.Header.Set("Origin", c.visitor.Origin)
	resp, err := c.visitor.Do(r)
	if err != nil {
		c.T.Fatal(err)
	}
	c.T.Cleanup(func() { resp.Body.Close() })
	return resp
}

// Whatever a portal does passes through two relays as it does through one.
func TestAVisitGoesThroughTwoRelays(t *testing.T) {
	c := cross(t)
	if _, err := c.visitor.Fetch(t.Context(), "/"); err != nil {
		t.Fatal(err)
	}
	if n := testutil.CollectAndCount(c.relay.Registry, "trunkline_relay_peer_links"); n != 1 {
		t.Errorf("relay-2 has links to %d relays", n)
	}

	const size = 16 << 20
	path := fmt.Sprintf("/test/bytes?n=1&size=%d", size)
	direct, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}).Get(c.portal.URL() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Body.Close()
	if want, got := digest(t, direct.Body), digest(t, c.send(http.MethodGet, path, nil).Body); got != want {
		t.Errorf("a download has SHA-256 %s, at the portal %s", got, want)
	}

	up := bytes.Repeat([]byte("0123456789abcde\n"), size/16)
	sum := sha256.Sum256(up)
	resp := c.send(http.MethodPost, "/test/upload", bytes.NewReader(up))
	if b, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(b), hex.EncodeToString(sum[:])) {
		t.Errorf("upload: %s %s, %v", resp.Status, b, err)
	}

	ws, err := c.visitor.WebSocket(t.Context(), "/ws/echo")
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	for n := range 3 {
		want := strings.Repeat(fmt.Sprint(n), 20_000)
		if err := ws.Write(t.Context(), websocket.MessageText, []byte(want)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := ws.Read(t.Context()); err != nil || string(got) != want {
			t.Fatalf("echo of %d bytes: %v", len(got), err)
		}
	}

	resp = c.send(http.MethodGet, "/test/reset?at=body", nil)
	if b, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("an answer that broke off after %d bytes counts as whole", len(b))
	}
}

func digest(t *testing.T, r io.Reader) string {
	t.Helper()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		t.Error(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// The PBX's staff see who visits through another relay, and end the visit.
func TestStaffEndAVisitThroughAnotherRelay(t *testing.T) {
	c := cross(t)
	if _, err := c.visitor.Fetch(t.Context(), "/"); err != nil {
		t.Fatal(err)
	}
	var visit id.Visit
	c.Eventually("the visit is shown at the PBX", func() error {
		v, err := c.pbx.Desk.View(t.Context())
		if err == nil && len(v.Now) != 1 {
			err = fmt.Errorf("there are %d", len(v.Now))
		}
		if err == nil {
			visit = v.Now[0].ID
		}
		return err
	})
	if err := c.pbx.Desk.EndVisit(t.Context(), visit); err != nil {
		t.Fatal(err)
	}
	c.Eventually("the visitor is told", func() error {
		_, err := c.visitor.Fetch(t.Context(), "/")
		var s *visitor.StatusError
		if !errors.As(err, &s) || s.Status != http.StatusUnauthorized || !strings.Contains(s.Body, "visit_ended_by_pbx") {
			return fmt.Errorf("what comes is %v", err)
		}
		return nil
	})
}

// The relay that has the PBX's tunnel stops in the middle of a download: the
// browser sees a break, and its next request finds the PBX where it went.
func TestARelayIsLostInTheMiddle(t *testing.T) {
	more := &testnet.More{Names: []id.Relay{"relay-2", "relay-3"}}
	w := testnet.Start(t, func(c *up.Config) {
		more.WithRelays(c)
		c.Relay.Advertise = []string{"127.0.0.1:1"} // no agent comes there
	})
	relays := map[id.Relay]*testnet.Relay{"relay-2": w.Relay(more, "relay-2", nil), "relay-3": w.Relay(more, "relay-3", nil)}
	portal := w.Portal(nil)
	pbx := w.Connect("3631A20C0042", portal.URL())
	at := relays[pbx.AwaitStatus(controlapi.StatusConnected).Relay]
	if at == nil {
		t.Fatal("the PBX is at neither relay")
	}
	v := pbx.Visit()
	for name, r := range relays {
		if name != at.Name {
			w.Through(v, r.Addr())
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.Origin+"/test/drip?n=100000&ms=10&length=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := v.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	at.Stop()
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("an answer that was cut after %d bytes counts as whole", n)
	}
	w.Eventually("the visit goes on", func() error {
		_, err := v.Fetch(t.Context(), "/")
		return err
	})
}

// What another relay keeps for its next requests gives way to requests here.
func TestKeptStreamsGiveWay(t *testing.T) {
	const limit, kept = 32, 26
	c := crossAt(t, func(cfg *up.Config) { cfg.Relay.Edge.Limits.StreamsPerDevice = limit })
	here := c.pbx.Visit()
	crowd := func(v *visitor.Visitor, n int) error {
		errs := make(chan error, n)
		for range n {
			go func() {
				_, err := v.Fetch(t.Context(), "/test/slow?ms=500")
				errs <- err
			}()
		}
		var all error
		for range n {
			all = errors.Join(all, <-errs)
		}
		return all
	}
	if err := crowd(c.visitor, kept); err != nil {
		t.Fatal(err)
	}
	if err := crowd(here, 1); err != nil {
		t.Fatal(err)
	}
	if err := crowd(here, limit); err != nil {
		t.Fatal(err)
	}
	if err := crowd(c.visitor, kept); err != nil {
		t.Error(err)
	}
}

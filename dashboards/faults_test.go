package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"trunkline/agent"
	"trunkline/internal/bus"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/service/debug"
	"trunkline/internal/testnet"
	"trunkline/internal/tunnel"
	"trunkline/relay/peer"
)

// ofFaults are the panels that move when something goes wrong, or where there are
// two relays. Each is seen to move here, and nowhere else.
var ofFaults = []string{
	"Links up", "Round trip between relays", "Bytes between relays", "Streams through another relay",
	"Passes renewed by result",
	"HTTP/2 errors",
	"Tries to connect that failed", "Streams that other relays did not take",
	"Connections lost", "Watches begun anew", "Calls to control that failed",
}

// A panel that shows a fault is worth nothing unless it moves when there is one.
func TestFaults(t *testing.T) {
	program(t, "prometheus")
	x := &faults{more: &testnet.More{Names: []id.Relay{"relay-2", "gone"}}}
	x.World = testnet.Start(t, x.more.WithRelays)
	portal := x.Portal(nil).URL()
	x.pbx = x.Connect("FAULT001", portal) // to the only relay there is yet
	x.old = x.Activate("FAULT002", portal)
	x.wire = testnet.NewWire(t)
	x.wire.To(x.Up.BusAddr())
	x.gone = x.BusAs(x.more, "gone")
	x.more.Dial = x.wire.Addr()
	x.relay = x.Relay(x.more, "relay-2", nil)
	metrics := httptest.NewServer(debug.Metrics(x.relay.Registry))
	t.Cleanup(metrics.Close)
	admin := x.Up.AdminAddrs()
	x.prometheus = startPrometheus(t, []job{
		{"trunkline-control", []string{admin[0].String()}},
		{"trunkline-relay", []string{admin[1].String(), metrics.Listener.Addr().String()}},
	})

	testnet.Go(t, "a client that breaks HTTP/2", x.breakHTTP2)
	x.renewAnOldPass()
	x.visitThroughTwoRelays()
	x.sendToARelayThatIsNotReached()
	x.loseTheBus()
	for _, title := range ofFaults {
		x.moves(title)
	}
}

// faults is a world of two relays in which things go wrong.
type faults struct {
	*testnet.World
	more       *testnet.More
	pbx        *testnet.PBX // at the first relay
	old        *testnet.PBX // does not run yet
	relay      *testnet.Relay
	wire       *testnet.Wire // from relay to the bus
	gone       *bus.Bus      // of a relay that nobody reaches
	prometheus *scraper
}

// moves asks the panel's queries until each has a value above 0.
func (x *faults) moves(title string) {
	x.T.Helper()
	asked := 0
	for _, d := range all() {
		for _, r := range d.rows {
			for _, panel := range r.panels {
				if panel.title != title {
					continue
				}
				for _, q := range panel.queries {
					asked++
					x.Eventually(d.title+", "+title, func() error {
						return x.prometheus.above0(asGrafana(q.promQL()))
					})
				}
			}
		}
	}
	if asked == 0 {
		x.T.Errorf("no dashboard has a panel %q", title)
	}
}

// above0 errs unless some value of expr is greater than 0.
func (p *scraper) above0(expr string) error {
	got, err := p.query(expr)
	if err != nil {
		return err
	}
	for _, s := range got {
		text, _ := s.Value[1].(string)
		if v, err := strconv.ParseFloat(text, 64); err == nil && v > 0 {
			return nil
		}
	}
	return fmt.Errorf("%v: %s", got, expr)
}

// renewAnOldPass starts an agent that was off for longer than its pass lives.
func (x *faults) renewAnOldPass() {
	x.T.Helper()
	path := filepath.Join(x.old.Data, "identity.json")
	b, err := os.ReadFile(path)
	if err != nil {
		x.T.Fatal(err)
	}
	var i agent.Identity
	if err := json.Unmarshal(b, &i); err != nil {
		x.T.Fatal(err)
	}
	i.Pass.Received = i.Pass.Received.Add(-2 * i.Pass.Life)
	if b, err = json.Marshal(i); err != nil {
		x.T.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		x.T.Fatal(err)
	}
	x.old.Run()
}

// breakHTTP2 is a client whose first frame is not what it has to be (RFC 9113,
// section 3.4), again and again: a reason's counter is there from its first time
// on, and a rate needs two.
func (x *faults) breakHTTP2(ctx context.Context) error {
	conf := x.TLS.Clone()
	conf.ServerName, conf.NextProtos = string(x.pbx.Site)+".localhost", []string{http2.NextProtoTLS}
	for ctx.Err() == nil {
		c, err := tls.Dial("tcp", x.Up.Relay.Addr().String(), conf)
		if err != nil {
			return err
		}
		_ = c.SetDeadline(time.Now().Add(testnet.Patience))
		_, _ = io.WriteString(c, http2.ClientPreface)
		_ = http2.NewFramer(c, nil).WritePing(false, [8]byte{})
		_, _ = io.Copy(io.Discard, c) // until it is given up
		c.Close()
		select {
		case <-time.After(scrapeEvery / 2):
		case <-ctx.Done():
		}
	}
	return nil
}

// visitThroughTwoRelays has a page go over the link.
func (x *faults) visitThroughTwoRelays() {
	x.T.Helper()
	v := x.pbx.Visit()
	x.Through(v, x.relay.Addr())
	if _, err := v.Fetch(x.T.Context(), "/"); err != nil {
		x.T.Fatal(err)
	}
}

// sendToARelayThatIsNotReached visits a PBX whose relay renews its lease and lets
// nobody in.
func (x *faults) sendToARelayThatIsNotReached() {
	t := x.T
	t.Helper()
	keepLease(t, x.gone, bus.Lease{Relay: "gone", Peer: "127.0.0.1:1", PeerVersions: peer.Versions})
	far := x.Activate("FAULT003", "http://127.0.0.1:1")
	d, err := x.API.Device(t.Context(), far.Device)
	if err != nil {
		t.Fatal(err)
	}
	route := bus.Route{
		Relay: "gone", Device: far.Device, Site: far.Site, Account: d.Account, Tunnel: id.NewTunnel(), Since: time.Now(),
		Portal: tunnel.Portal{Origin: "http://127.0.0.1"},
	}
	if _, err := bus.NewBucket[bus.Route](x.gone, bus.Routes).Put(t.Context(), bus.RouteKey("gone", far.Device), route); err != nil {
		t.Fatal(err)
	}
	far.AwaitStatus(controlapi.StatusConnected)
	v := far.Visit()
	testnet.Go(t, "the visitor of a PBX that is not reached", func(ctx context.Context) error {
		_, err := v.Fetch(ctx, "/")
		if err == nil {
			return errors.New("it was served")
		}
		return nil
	})
}

// loseTheBus ends a visit at a relay that has lost the bus, which control hears of
// when it is back.
func (x *faults) loseTheBus() {
	t := x.T
	t.Helper()
	v := x.pbx.Visit()
	x.Through(v, x.relay.Addr())
	if _, err := v.Fetch(t.Context(), "/"); err != nil {
		t.Fatal(err)
	}
	x.wire.Cut()
	x.Eventually("relay-2 has lost the bus", func() error {
		if x.relay.Bus.Connected() {
			return errors.New("it has not")
		}
		return nil
	})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.Origin+"/.trunkline/end", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Origin", v.Origin)
	resp, err := v.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("the visit's end is answered %s", resp.Status)
	}
	x.moves("Calls to control that failed") // and tried again until the bus is back
	x.wire.Mend()
	x.Eventually("control hears of the visit's end", func() error {
		page, err := x.API.Visits(t.Context(), controlapi.VisitQuery{})
		if err != nil {
			return err
		}
		for _, o := range page.Items {
			if o.EndCode == fault.VisitEnded {
				return nil
			}
		}
		return fmt.Errorf("%+v", page.Items)
	})
}

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
	"trunkline/internal/visitor"
	"trunkline/relay/peer"
)

// ofFaults are the panels that move when something goes wrong, or where there are
// two relays. Each is seen to move here, and nowhere else.
var ofFaults = []string{
	"Links up", "Round trip between relays", "Bytes between relays", "Streams through another relay",
	"Passes renewed by result",
	"HTTP/2 errors",
	"Tries to connect that failed", "Streams that other relays did not take",
	"Connections lost", "Watches begun anew", "Calls to control that failed", "Waiting for the bus or for control",
	"Two tunnels of one device", "Draining",
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
	x.clone()
	x.relay.Stop()
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

// moves asks the panel's queries, on each dashboard that has it, until one has
// had a value above 0.
func (x *faults) moves(title string) {
	x.T.Helper()
	asked := false
	for _, d := range all() {
		for _, r := range d.rows {
			for _, panel := range r.panels {
				if panel.title != title {
					continue
				}
				asked = true
				x.Eventually(d.title+", "+title, func() (err error) {
					for _, q := range panel.queries {
						if err = x.prometheus.moved(asGrafana(q.promQL())); err == nil {
							break
						}
					}
					return err
				})
			}
		}
	}
	if !asked {
		x.T.Errorf("no dashboard has a panel %q", title)
	}
}

// moved errs unless expr has had a value above 0.
func (p *scraper) moved(expr string) error {
	got, err := p.query("max_over_time((" + expr + ")[10m:1s])")
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

// loseTheBus ends visits at a relay that has lost the bus, which control hears of
// when it is back.
func (x *faults) loseTheBus() {
	t := x.T
	t.Helper()
	const visits = 3 // one is tried again and again, and the others wait
	var open []*visitor.Visitor
	for range visits {
		v := x.pbx.Visit()
		x.Through(v, x.relay.Addr())
		if _, err := v.Fetch(t.Context(), "/"); err != nil {
			t.Fatal(err)
		}
		open = append(open, v)
	}
	x.wire.Cut()
	x.Eventually("relay-2 has lost the bus", func() error {
		if x.relay.Bus.Connected() {
			return errors.New("it has not")
		}
		return nil
	})
	for _, v := range open {
		x.end(v)
	}
	x.moves("Calls to control that failed")
	x.moves("Waiting for the bus or for control")
	x.wire.Mend()
	x.Eventually("control hears of the visits' ends", func() error {
		page, err := x.API.Visits(t.Context(), controlapi.VisitQuery{})
		ended := 0
		for _, o := range page.Items {
			if o.EndCode == fault.EndedByVisitor {
				ended++
			}
		}
		if err == nil && ended != visits {
			err = fmt.Errorf("%d have ended: %+v", ended, page.Items)
		}
		return err
	})
}

// end signs a visitor out.
func (x *faults) end(v *visitor.Visitor) {
	x.T.Helper()
	r, err := http.NewRequestWithContext(x.T.Context(), http.MethodPost, v.Origin+"/.trunkline/end", nil)
	if err != nil {
		x.T.Fatal(err)
	}
	r.Header.Set("Origin", v.Origin)
	resp, err := v.Do(r)
	if err != nil {
		x.T.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusSeeOther {
		x.T.Fatalf("the visit's end is answered %s", resp.Status)
	}
}

// clone has a copy of a PBX, with its key, run beside it.
func (x *faults) clone() {
	x.T.Helper()
	twin := *x.pbx
	twin.Data = filepath.Join(x.T.TempDir(), "twin")
	if err := os.Mkdir(twin.Data, 0o700); err != nil {
		x.T.Fatal(err)
	}
	for _, name := range []string{"identity.json", "device.key"} {
		b, err := os.ReadFile(filepath.Join(x.pbx.Data, name))
		if err != nil {
			x.T.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(twin.Data, name), b, 0o600); err != nil {
			x.T.Fatal(err)
		}
	}
	twin.Configure(func(c *agent.Config) { c.Data = twin.Data })
	twin.Run()
}

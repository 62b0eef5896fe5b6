package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"trunkline/cmd/trunkline/up"
	"trunkline/control/license"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/service"
	"trunkline/internal/service/debug"
	"trunkline/internal/testnet"
	"trunkline/internal/visitor"
	"trunkline/loadtest"
	"trunkline/loadtest/scenario"
	"trunkline/loadtest/target"
)

// calm are the panels that may be 0 all the time in both tests, and what it would
// take. Their queries are asked all the same.
var calm = map[string]string{
	"Licence used":    "half a minute: control counts connections no oftener",
	"Never connected": "half a minute: control counts these devices no oftener",
	"Visits":          "half a minute: control counts visits no oftener",
	"Pairs":           "half a minute: control counts pairs no oftener",
	"Pair alarms":     "half a minute, and a pair that disagrees",
	"Alarms":          "half a minute, and a pair that disagrees",
	"Over capacity":   "half a minute, and a pair that is parted when the licence is used up",

	"Handshakes":                 "a scrape in the very milliseconds that one takes",
	"Windows of tunnels.windows": "a browser that reads slowly over a long line",
	"Requests sent again":        "a portal that ends a kept connection in the moment that a request comes",

	"Database errors":               "a database that is away",
	"Waiting for a connection":      "transactions that meet, which is luck",
	"Transactions that waited":      "transactions that meet, which is luck",
	"Errors and retries":            "a database that is away, or PostgreSQL with transactions that meet",
	"API errors":                    "a database that is away",
	"Readers cut for slowness":      "a reader of NATS that stands still for seconds",
	"Put on the bus again":          "a control node that loses the bus; here it is in its process",
	"Watches that could not follow": "somebody who looks on and does not read",
}

// Everything is asked of a real Prometheus that watches a real installation at
// work: panels have data, rules are evaluated, and the reference is right.
func TestLive(t *testing.T) {
	program(t, "prometheus")
	w := testnet.Start(t, func(c *up.Config) {
		licensed(t, c)
		c.Relay.Tunnels.Rate = 5
		c.Relay.Edge.HTTPListen = "127.0.0.1:0"
		c.Relay.Edge.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		c.Relay.Edge.Limits.OpensPerDevice = 1
	})
	reg := service.Registry()
	load := httptest.NewServer(debug.Metrics(reg))
	t.Cleanup(load.Close)
	admin := w.Up.AdminAddrs()
	jobs := []job{
		{"trunkline-control", []string{admin[0].String()}},
		{"trunkline-relay", []string{admin[1].String()}},
		{"trunkline-loadtest", []string{load.Listener.Addr().String()}},
	}
	p := startPrometheus(t, jobs, "--enable-feature=exemplar-storage")
	native := startPrometheus(t, jobs[1:2], "--enable-feature=native-histograms")

	testnet.Go(t, "somebody who looks on", func(ctx context.Context) error {
		_ = w.API.Watch(ctx, nil, func(controlapi.DeviceEvent) error { return nil }) // until the test is over
		return nil
	})
	work(w)
	loaded(w, reg)
	guess(w)

	t.Run("panels", func(t *testing.T) { panelsHaveData(t, p) })
	t.Run("rules", func(t *testing.T) { rulesAreWell(t, p) })
	t.Run("reference", func(t *testing.T) { referenceIsRight(t, p) })
	t.Run("native", func(t *testing.T) {
		testnet.Eventually(t, "a quantile of a native histogram", func() error {
			got, err := native.query("histogram_quantile(0.9, sum(rate(trunkline_relay_edge_first_byte_seconds[2m])))")
			if err == nil && (len(got) != 1 || got[0].Value[1] == "NaN") {
				err = fmt.Errorf("%v", got)
			}
			return err
		})
	})
	t.Run("exemplars", func(t *testing.T) { slowAnswersHaveAVisit(t, p) })
	t.Run("promtool", func(t *testing.T) {
		for _, j := range jobs {
			resp, err := get(j.addrs[0], "/metrics")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			cmd := exec.Command(program(t, "promtool"), "check", "metrics")
			cmd.Stdin = resp.Body
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", j.name, err, out)
			}
		}
	})
}

func licensed(t *testing.T, c *up.Config) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	b, err := license.Issue(private, license.License{Holder: "Acme", Plan: "standard", Connections: 10, NotBefore: now.Add(-time.Hour), Expires: now.AddDate(1, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	c.Control.LicenseFile, c.Control.LicenseKey = filepath.Join(t.TempDir(), "licence"), base64.StdEncoding.EncodeToString(public)
	if err := os.WriteFile(c.Control.LicenseFile, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// loaded has a load test visit two PBXs of its own, one of which has too thin a
// line for what is fetched.
func loaded(w *testnet.World, reg *prometheus.Registry) {
	const text = `
name: live
about: Two PBXs, for the dashboard of load tests.
devices: 2
lines:
  - {name: fibre, share: 0.5, rtt: 1ms, up: 1Gbit}
  - {name: isdn, share: 0.5, rtt: 1ms, up: 64kbit}
duration: 5s
timeout: 1s
traffic:
  - {kind: page, rate: 10, size: 1KiB, assets: 1, asset_size: 1KiB}
  - {kind: download, rate: 5, size: 256KiB}
`
	s, err := scenario.Parse([]byte(text))
	if err != nil {
		w.T.Fatal(err)
	}
	email, password := w.Login()
	if _, err = loadtest.Run(w.T.Context(), loadtest.Options{
		Scenario: s, Text: text, Log: zap.NewNop(), Registerer: reg,
		Open: func(ctx context.Context) (*target.Target, *target.Own, error) {
			t, err := target.Open(ctx, w.Up.ConsoleURL(), w.Up.CA().File(), target.Login{Email: email, Password: password}, nil)
			return t, nil, err
		},
	}); err != nil {
		w.T.Fatal(err)
	}
}

// work is what a day brings: PBXs that come, go, and are refused, visits that
// are served and that fail, staff who mistype.
func work(w *testnet.World) {
	t, ctx := w.T, w.T.Context()
	slow := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			time.Sleep(1100 * time.Millisecond) // what an exemplar is kept of
		}
		_, _ = io.WriteString(rw, "hello")
	}))
	t.Cleanup(slow.Close)
	mistype(w)                              // and once more at the end: a rate needs two
	twins := w.Pair("PAIR0001", "PAIR0002") // the second one's site moves: its pass is renewed
	twins.Run()
	one := w.Connect("LIVE0001", slow.URL)
	visit := one.Visit()
	for _, path := range []string{"/slow", "/", "/"} {
		if _, err := visit.Fetch(ctx, path); err != nil {
			t.Fatal(err)
		}
	}
	var many sync.WaitGroup // beyond opens_per_device
	for range 30 {
		many.Go(func() { _, _ = visit.Fetch(ctx, "/slow") })
	}
	many.Wait()
	one.Stop() // a disconnect with a reason
	one.AwaitStatus(controlapi.StatusDisconnected)

	dead := w.Connect("DEAD0001", "http://127.0.0.1:1")
	late := dead.Visit()
	w.Eventually("a portal that is not there is missed", func() error {
		var refused *visitor.StatusError
		if _, err := late.Fetch(ctx, "/"); !errors.As(err, &refused) || !strings.Contains(refused.Body, string(fault.PortalRefused)) {
			return fmt.Errorf("%w", err)
		}
		return nil
	})
	knock(w)
	mistype(w)
}

// mistype is somebody who opens the console and has the wrong password.
func mistype(w *testnet.World) {
	w.T.Helper()
	transport := controlapi.NewTransport(w.TLS.Clone())
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get(w.Up.ConsoleURL() + "/")
	if err != nil {
		w.T.Fatal(err)
	}
	resp.Body.Close()
	if _, err := w.Client().SignIn(w.T.Context(), "nobody@example.com", "wrong"); err == nil {
		w.T.Error("nobody signs in")
	}
}

// guess is somebody who has the wrong password until nobody looks at it any more.
func guess(w *testnet.World) {
	w.T.Helper()
	c := w.Client()
	w.Eventually("guesses are not looked at", func() error {
		_, err := c.SignIn(w.T.Context(), "nobody@example.com", "wrong")
		if fault.CodeOf(err) != fault.TooMany {
			return fmt.Errorf("%w", err)
		}
		return nil
	})
}

// knock is strangers at the public port: somebody at the plain port who is no
// proxy, and agents who are none, faster than tunnels.rate.
func knock(w *testnet.World) {
	t := w.T
	c, err := net.Dial("tcp", w.Up.Relay.PlainAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, c) // until it is cut off
	c.Close()
	conf := w.TLS.Clone()
	conf.NextProtos, conf.ServerName = []string{"trunkline/1"}, "localhost"
	w.Eventually("some are refused and some are shed", func() error {
		var crowd sync.WaitGroup // one after the other they may be slower than the rate
		for range 20 {
			crowd.Go(func() {
				c, err := tls.Dial("tcp", w.Up.Relay.Addr().String(), conf)
				if err != nil {
					return
				}
				defer c.Close()
				_, _ = c.Write([]byte("\x00\x00\x00\x02{}")) // no hello
				_ = c.SetReadDeadline(time.Now().Add(testnet.Patience))
				_, _ = io.Copy(io.Discard, c)
			})
		}
		crowd.Wait()
		now := scrape(t, w)
		refused, shed := now[`trunkline_relay_tunnels_refused_total{code="version_mismatch"}`], now[`trunkline_relay_tunnels_shed_total{reason="rate"}`]
		if refused == 0 || shed == 0 {
			return fmt.Errorf("%v refused, %v shed", refused, shed)
		}
		return nil
	})
}

// panelsHaveData asks each panel's queries until all have an answer, and each
// panel that is not calm has been above 0. What comes of faults and of a second
// relay is TestFaults' to ask.
func panelsHaveData(t *testing.T, p *scraper) {
	missing, unmoved := make(map[string]string), make(map[string][]string) // queries by what they are for
	for _, d := range all() {
		for _, r := range d.rows {
			for _, panel := range r.panels {
				if slices.Contains(ofFaults, panel.title) {
					continue
				}
				for _, q := range panel.queries {
					expr := asGrafana(q.promQL())
					missing[fmt.Sprintf("%s, %s, %s", d.title, panel.title, q.legend)] = expr
					if calm[panel.title] == "" {
						name := d.title + ", " + panel.title
						unmoved[name] = append(unmoved[name], expr)
					}
				}
			}
		}
	}
	for end := time.Now().Add(testnet.Patience); len(missing)+len(unmoved) > 0; {
		for name, expr := range missing {
			got, err := p.query(expr)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if err != nil || len(got) > 0 {
				delete(missing, name)
			}
		}
		for name, exprs := range unmoved {
			if slices.ContainsFunc(exprs, func(expr string) bool { return p.moved(expr) == nil }) {
				delete(unmoved, name)
			}
		}
		if time.Now().After(end) {
			break
		}
		time.Sleep(scrapeEvery / 2)
	}
	for name, expr := range missing {
		t.Errorf("%s: no data: %s", name, expr)
	}
	for name, exprs := range unmoved {
		t.Errorf("%s: was 0 all the time: %s", name, exprs)
	}
}

// slowAnswersHaveAVisit: the dots in a graph lead to the log.
func slowAnswersHaveAVisit(t *testing.T, p *scraper) {
	testnet.Eventually(t, "an exemplar with a visit", func() error {
		var found []struct {
			Exemplars []struct{ Labels map[string]string }
		}
		now := time.Now().Unix()
		err := p.ask(fmt.Sprintf("query_exemplars?query=trunkline_relay_edge_first_byte_seconds_bucket&start=%d&end=%d", now-3600, now+60), &found)
		if err == nil && (len(found) == 0 || found[0].Exemplars[0].Labels["visit"] == "") {
			err = fmt.Errorf("%v", found)
		}
		return err
	})
}

func rulesAreWell(t *testing.T, p *scraper) {
	for _, r := range rules(t) {
		if r.Record != "" {
			testnet.Eventually(t, r.Record, func() error {
				got, err := p.query(r.Record)
				if err == nil && len(got) == 0 {
					err = errors.New("no data: " + r.Expr)
				}
				return err
			})
		}
	}
	health, err := p.ruleHealth()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules(t) {
		if name := r.Alert + r.Record; health[name] != "ok" {
			t.Errorf("%s: %q", name, health[name])
		}
	}
}

// referenceIsRight holds docs/metrics.md against what was scraped: each metric is
// in it, of its kind.
func referenceIsRight(t *testing.T, p *scraper) {
	families, err := registered()
	if err != nil {
		t.Fatal(err)
	}
	said := make(map[string]string)
	for _, f := range families {
		said[f.name] = f.kind
		if n := notes[f.name]; f.kind == "" {
			said[f.name] = n.kind
		}
		if said[f.name] == "" {
			said[f.name] = "counter"
		}
	}
	var scraped map[string][]struct{ Type string }
	if err := p.ask("metadata", &scraped); err != nil {
		t.Fatal(err)
	}
	ours := 0
	for name, m := range scraped {
		if len(name) < 10 || name[:10] != "trunkline_" {
			continue
		}
		ours++
		if said[name] != m[0].Type && said[name+"_total"] != m[0].Type {
			t.Errorf("%s is a %s, and docs/metrics.md has %q", name, m[0].Type, said[name])
		}
	}
	if ours < 60 {
		t.Errorf("only %d metrics were scraped", ours)
	}
}

package relay_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"trunkline/internal/bus"
	"trunkline/internal/id"
	"trunkline/internal/selfca"
	"trunkline/internal/testnet"
	"trunkline/internal/token"
	"trunkline/internal/tunnel"
	"trunkline/relay"
)

// coast is a relay that a storm comes over, with one device that browsers visit.
type coast struct {
	t     testing.TB
	relay *relay.Relay
	bus   *bus.Bus
	seal  token.SealKey
	reg   *prometheus.Registry
	ca    *selfca.CA
	key   token.SigningKey
	site  id.Site
	agent *tls.Config
	as    string          // the visitor's cookie
	ended <-chan struct{} // the relay that was started last has
}

func newCoast(t testing.TB, change func(*relay.Config)) *coast {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.EnsureBuckets(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := &coast{t: t, bus: b, reg: prometheus.NewRegistry(), site: id.NewSite(), key: token.NewSigningKey(time.Now().Add(-time.Hour))}
	if s.ca, err = selfca.Open(filepath.Join(t.TempDir(), "tls"), "localhost"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	s.relay = s.start(s.reg, change)
	s.seal = token.NewSealKey(time.Now().Add(-time.Hour))
	_, err = bus.NewBucket[token.PassKey](b, bus.Keys).Put(t.Context(), "pass."+s.key.ID, s.key.Verifier())
	if err == nil {
		_, err = bus.NewBucket[token.SealKey](b, bus.Keys).Put(t.Context(), "visit."+s.seal.ID, s.seal)
	}
	now := time.Now().UTC()
	if err == nil {
		s.as, err = token.SealVisit(s.seal, token.Visit{
			ID: id.NewVisit(), Site: s.site, Account: id.NewAccount(), User: id.NewUser(), Who: "Ann", Method: token.MethodAccount,
			Idle: time.Hour, Started: now, Expires: now.Add(time.Hour), Seen: now,
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	s.agent = &tls.Config{RootCAs: s.ca.Pool(), ServerName: "localhost", MinVersion: tls.VersionTLS13, NextProtos: []string{tunnel.ALPN}}
	s.servePBX()
	testnet.Eventually(t, "the relay is ready", s.relay.Ready)
	return s
}

// start runs one relay of the coast.
func (s *coast) start(reg *prometheus.Registry, change func(*relay.Config)) *relay.Relay {
	s.t.Helper()
	cfg := relay.Default()
	cfg.Listen, cfg.Drain = "127.0.0.1:0", relay.Drain{}
	cfg.Tunnels.FirstStatus, cfg.Tunnels.Ping = time.Hour, 10*time.Minute // agents are quiet here
	change(&cfg)
	r, err := relay.New(relay.Options{Config: cfg, Bus: s.bus, Certificate: s.ca.Certificate, Log: zap.NewNop(), Registerer: reg})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	s.ended = done
	go func() {
		defer close(done)
		if err := r.Run(ctx); err != nil {
			s.t.Error(err)
		}
	}()
	s.t.Cleanup(func() { stop(); <-done })
	return r
}

// device is who dials.
type device struct {
	key  ed25519.PrivateKey
	pass string
}

func (s *coast) device(site id.Site) device {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Second)
	pass, err := token.SignPass(s.key, token.Pass{
		ID: id.Ref(), Device: id.NewDevice(), Site: site, Account: id.NewAccount(), Serial: "3631A20C0999",
		Key: public, Issued: now, Expires: now.Add(time.Hour),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return device{private, pass}
}

// dial makes one attempt.
func (s *coast) dial(ctx context.Context, d device) (*tunnel.Agent, net.Conn, error) {
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", s.relay.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	a, err := tunnel.Dial(ctx, tls.Client(raw, s.agent), tunnel.Config{}, d.pass, d.key, tunnel.AgentInfo{})
	return a, raw, err
}

// servePBX connects the device that is visited.
func (s *coast) servePBX() {
	s.t.Helper()
	var a *tunnel.Agent
	pbx := s.device(s.site)
	for began := time.Now(); ; {
		var err error
		if a, _, err = s.dial(s.t.Context(), pbx); err == nil {
			break
		} else if time.Since(began) > 30*time.Second { // it has to hear of its keys first
			s.t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	page := "HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n" + strings.Repeat("p", 1024)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = a.Run(ctx, tunnel.AgentHandlers{OnStream: func(_ context.Context, _ tunnel.Header, c net.Conn) {
			defer c.Close()
			err := tunnel.AcceptStream(c)
			for b := make([]byte, 4096); err == nil; {
				if _, err = c.Read(b); err == nil {
					_, err = io.WriteString(c, page)
				}
			}
		}})
	}()
	s.t.Cleanup(func() { stop(); <-done })
	if err := a.SendStatus(tunnel.Status{Portal: tunnel.Portal{Origin: "http://127.0.0.1:80"}}); err != nil {
		s.t.Fatal(err)
	}
	for began := time.Now(); s.browse(s.t.Context()) != nil; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			s.t.Fatal(s.browse(s.t.Context()))
		}
	}
}

// browse fetches a page by a connection of its own.
func (s *coast) browse(ctx context.Context) error {
	tr := &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: s.ca.Pool()},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", s.relay.Addr().String())
		},
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("https://%s.localhost%s/", s.site, s.relay.SitePort()), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Cookie", "__Host-trunkline-visit="+s.as)
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); resp.StatusCode != 200 || n != 1024 || err != nil {
		return fmt.Errorf("%s, %d bytes: %w", resp.Status, n, err)
	}
	return nil
}

// come is one agent: it tries until it is in, with the product's kind of
// backoff, and says when that was.
func (s *coast) come(ctx context.Context, d device, base, most time.Duration) (tries int, err error) {
	for limit := base; ctx.Err() == nil; limit = min(2*limit, most) {
		tries++
		once, cancel := context.WithTimeout(ctx, 20*time.Second)
		a, raw, err := s.dial(once, d)
		cancel()
		if err == nil {
			s.t.Cleanup(func() { _ = raw.Close() })
			return tries, a.SendStatus(tunnel.Status{Portal: tunnel.Portal{Origin: "http://127.0.0.1:80"}})
		}
		select {
		case <-ctx.Done():
		case <-time.After(mrand.N(limit)):
		}
	}
	return tries, ctx.Err()
}

// result is how a storm went.
type result struct {
	in       []time.Duration // when each agent was, sorted
	tries    int
	pages    []time.Duration // how long each took until 95 % of them were, sorted
	failed   []error         // browsers'
	shaking  float64         // handshakes at once, as far as seen
	awaiting float64
}

// storm has n agents come within a second, or at once, and browsers go on.
func (s *coast) storm(ctx context.Context, n int, within, base, most time.Duration) result {
	devices := make([]device, n)
	for i := range devices {
		devices[i] = s.device(id.NewSite())
	}
	var r result
	var mu sync.Mutex // guards r
	var agents, others sync.WaitGroup
	over := make(chan struct{})
	for range 2 {
		others.Go(func() {
			for {
				select {
				case <-over:
					return
				case <-time.After(5 * time.Millisecond):
				}
				began := time.Now()
				err := s.browse(ctx)
				mu.Lock()
				if len(r.in) <= n*95/100 { // later it is no storm
					r.pages = append(r.pages, time.Since(began))
				}
				if err != nil {
					r.failed = append(r.failed, err)
				}
				mu.Unlock()
			}
		})
	}
	others.Go(func() {
		for {
			select {
			case <-over:
				return
			case <-time.After(5 * time.Millisecond):
			}
			r.shaking = max(r.shaking, s.metric("trunkline_relay_handshakes", ""))
			r.awaiting = max(r.awaiting, s.metric("trunkline_relay_handshakes_waiting", ""))
		}
	})
	began := time.Now()
	var lost atomic.Int64
	for _, d := range devices {
		agents.Go(func() {
			time.Sleep(mrand.N(within + 1))
			tries, err := s.come(ctx, d, base, most)
			if err != nil {
				lost.Add(1)
				return
			}
			mu.Lock()
			r.in, r.tries = append(r.in, time.Since(began)), r.tries+tries
			mu.Unlock()
		})
	}
	agents.Wait()
	close(over)
	others.Wait()
	slices.Sort(r.in)
	slices.Sort(r.pages)
	return r
}

// metric is the sum over the label's values, or the value of one.
func (s *coast) metric(name, value string) (sum float64) {
	all, err := s.reg.Gather()
	if err != nil {
		s.t.Error(err)
	}
	for _, f := range all {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if value == "" || m.GetLabel()[0].GetValue() == value {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// All agents come at once: all get in, the relay takes on no more of them than
// it may, and browsers notice nothing but that it is busy.
func TestStorm(t *testing.T) {
	n := 2000
	if raceDetector {
		n = 500
	}
	s := newCoast(t, func(c *relay.Config) { c.Tunnels.Rate = n / 4 })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s.agent.CurvePreferences = []tls.CurveID{tls.X25519} // half an agent's cost, and they share the machine
	r := s.storm(ctx, n, 0, time.Second, 2*time.Second)
	if len(r.in) != n {
		t.Errorf("%d of %d agents are in", len(r.in), n)
	}
	if len(r.failed) > 0 {
		t.Errorf("%d of %d pages failed: %v", len(r.failed), len(r.pages), errors.Join(r.failed[:min(3, len(r.failed))]...))
	}
	if r.shaking > 2048 || r.awaiting > 1024 {
		t.Errorf("%v handshakes at once, of which %v waited", r.shaking, r.awaiting)
	}
	// On a slow machine some are given up on in the middle, and count as failed.
	// One that is too slow for the rate sheds nothing beyond it.
	shed, rate := s.metric("trunkline_relay_tunnels_shed_total", ""), s.metric("trunkline_relay_tunnels_shed_total", "rate")
	if all := s.metric("trunkline_relay_connections_total", "shed"); all < rate || r.tries < n+int(rate) {
		t.Errorf("%v were shed, %v of them beyond the rate, %v in all, in %d tries", shed, rate, all, r.tries)
	}
	if took := r.in[len(r.in)-1]; took < 2*time.Second { // a second's at once, and then a quarter in each
		t.Errorf("%d agents were in after %v, at a rate of %d a second", n, took, n/4)
	}
	t.Logf("%d agents in within %v, in %d tries; %d pages, p99 %v; at most %v handshakes at once",
		n, r.in[len(r.in)-1], r.tries, len(r.pages), r.pages[len(r.pages)*99/100], r.shaking)
}

// BenchmarkStorm is 10,000 devices that lose their relay, with the product's
// backoff; they share the machine with the relay.
func BenchmarkStorm(b *testing.B) {
	var fds syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &fds); err != nil {
		b.Fatal(err)
	}
	fds.Cur = fds.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &fds); err != nil {
		b.Fatal(err)
	}
	n := int(min(10_000, (fds.Max-1000)/2)) // both ends of each are here
	for b.Loop() {
		s := newCoast(b, func(*relay.Config) {})
		ctx, cancel := context.WithTimeout(b.Context(), 2*time.Minute)
		r := s.storm(ctx, n, time.Second, time.Second, 2*time.Minute)
		cancel()
		if len(r.in) < n {
			b.Errorf("%d of %d agents are in", len(r.in), n)
		}
		if len(r.failed) > 0 {
			b.Log(errors.Join(r.failed...))
		}
		b.ReportMetric(float64(n), "devices")
		b.ReportMetric(r.in[len(r.in)*95/100].Seconds(), "s-to-95%")
		b.ReportMetric(r.in[len(r.in)-1].Seconds(), "s-to-all")
		b.ReportMetric(float64(r.tries)/float64(n), "tries/agent")
		b.ReportMetric(float64(r.pages[len(r.pages)/2].Milliseconds()), "ms-page-p50")
		b.ReportMetric(float64(r.pages[len(r.pages)*99/100].Milliseconds()), "ms-page-p99")
		b.ReportMetric(float64(len(r.failed)), "pages-failed")
		b.ReportMetric(r.shaking, "handshakes")
	}
}

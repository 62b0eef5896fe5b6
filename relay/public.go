package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"trunkline/internal/certfile"
	"trunkline/internal/evtls"
	"trunkline/internal/proxyproto"
	"trunkline/internal/token"
	"trunkline/internal/tunnel"
	"trunkline/relay/peer"
)

// public is the one TLS listener, split by ALPN and host name.
type public struct {
	relay   *Relay
	tunnels *tls.Config
	sites   *tls.Config
	dated   *tls.Config // sites, for browsers without TLS 1.3
	hosts   *tls.Config
	files   *certfile.Pair // nil: the certificate is somebody else's
	peers   *tls.Config    // of other relays
	shaking *handshakes
	results *prometheus.CounterVec
	shed    *prometheus.CounterVec
	log     *zap.Logger
	wg      sync.WaitGroup
	taken   atomic.Uint64 // connections accepted

	complain rate.Sometimes // a balancer that is not set up right checks us every second
}

func newPublic(r *Relay) (*public, error) {
	p := &public{
		relay: r, log: r.log.Named("public"), shaking: newHandshakes(r.o.Tunnels.Rate, r.turns.pushOut), complain: rate.Sometimes{Interval: time.Minute},
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trunkline_relay_connections_total",
			Help: "Connections to the public listener: tunnel, peer (another relay), site, host (served by another plane), failed (no TLS came about), shed, or unproxied (a trusted load balancer sent no PROXY header).",
		}, []string{"kind"}),
		shed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trunkline_relay_tunnels_shed_total",
			Help: "Agents' connections closed after their first message and before any cryptography: beyond the rate, too many at once (full), pushed out by newer ones (queue), or slow.",
		}, []string{"reason"}),
	}
	for _, k := range []string{"tunnel", "peer", "site", "host", "failed", "shed", "unproxied"} {
		p.results.WithLabelValues(k) // a rate needs the 0 before the first 1
	}
	for _, reason := range []string{"rate", "full", "queue", "slow"} {
		p.shed.WithLabelValues(reason)
	}
	r.o.Registerer.MustRegister(p.results, p.shed, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "trunkline_relay_handshakes", Help: "TLS handshakes under way.",
	}, func() float64 { return float64(p.shaking.count()) }), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "trunkline_relay_handshakes_waiting", Help: "Of them, agents' that wait for their turn.",
	}, func() float64 { return float64(r.turns.waiting()) }))
	failures := certfile.Failures("relay")
	r.o.Registerer.MustRegister(failures)
	cert := r.o.Certificate
	if cert == nil {
		if r.o.CertFile == "" {
			return nil, errors.New("cert_file and key_file: missing")
		}
		var err error
		if p.files, err = certfile.Open(certfile.Options{
			Cert: r.o.CertFile, Key: r.o.KeyFile, Names: r.certNames(), Failures: failures, Log: p.log,
		}); err != nil {
			return nil, fmt.Errorf("cert_file and key_file: %w", err)
		}
		cert = p.files.Server
	}
	base := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: cert}
	p.sites, p.hosts, p.tunnels = base.Clone(), base.Clone(), base.Clone()
	p.sites.NextProtos = []string{"http/1.1"}
	if r.o.Edge.HTTP2 {
		p.sites.NextProtos = []string{"h2", "http/1.1"}
	}
	p.dated = p.sites.Clone()
	p.dated.SessionTicketsDisabled = true // who has a ticket's key reads such a session, also afterwards
	p.hosts.NextProtos = []string{"h2", "http/1.1"}
	p.peers = r.peers.ServerTLS()
	p.tunnels.NextProtos = []string{tunnel.ALPN}
	p.tunnels.MinVersion = tls.VersionTLS13
	// A tunnel carries bulk from its first byte on; small first records are
	// for pages.
	p.tunnels.DynamicRecordSizingDisabled = true
	if !r.o.Tunnels.PostQuantum {
		p.tunnels.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
	}
	p.tunnels.SessionTicketsDisabled = true // resumption would save a tenth of a handshake and cost an allocation each
	return p, nil
}

// certNames are what browsers and agents come to the public port for.
func (r *Relay) certNames() []string {
	names := []string{"*." + r.o.Zone}
	for _, a := range r.Advertised() {
		if host, _, err := net.SplitHostPort(a); err == nil && !slices.Contains(names, host) {
			names = append(names, host)
		}
	}
	return append(names, slices.Sorted(maps.Keys(r.o.Hosts))...)
}

func (p *public) configFor(h *tls.ClientHelloInfo) (*tls.Config, error) {
	if slices.Contains(h.SupportedProtos, tunnel.ALPN) {
		return p.tunnels, p.turn(h)
	}
	p.shaking.heard(h.Conn)
	switch {
	case slices.Contains(h.SupportedProtos, peer.ALPN):
		return p.peers, nil
	case p.host(h.ServerName) != nil:
		return p.hosts, nil
	case !slices.Contains(h.SupportedVersions, tls.VersionTLS13):
		return p.dated, nil
	}
	return p.sites, nil
}

// sealSessions makes a browser's session good at all relays, which know the
// same keys (docs/adr/0020).
func (p *public) sealSessions(keys []token.SealKey) {
	var out [][32]byte
	for _, k := range keys {
		out = append(out, k.Ticket())
	}
	if len(out) > 0 {
		p.sites.SetSessionTicketKeys(out)
	}
}

var errShed = errors.New("too many agents at once")

// turn waits until it is an agent's turn, from here to where the relay has said
// all it can and waits for the agent. Who is turned away gets no answer, which
// would cost more than it tells: agents come again after a time of their own.
func (p *public) turn(h *tls.ClientHelloInfo) error {
	reason := p.shaking.heardAgent(h.Conn)
	switch {
	case reason != "":
	case p.relay.turns.takeFirst(h.Context().Done()):
		p.shaking.goesOn(h.Conn)
		h.Conn.(*evtls.Conn).OnRead(p.relay.turns.give)
		return nil
	case h.Context().Err() != nil:
		reason = "slow"
	default:
		reason = "queue"
	}
	p.shed.WithLabelValues(reason).Inc()
	_ = h.Conn.Close()
	return errShed
}

func (p *public) host(name string) func(*tls.Conn) {
	return p.relay.o.Hosts[strings.ToLower(strings.TrimSuffix(name, "."))]
}

// Run accepts until ctx ends or the listener is closed.
func (p *public) Run(ctx context.Context) error {
	outer := &tls.Config{GetConfigForClient: p.configFor, MinVersion: tls.VersionTLS12}
	stop := context.AfterFunc(ctx, func() { p.relay.ln.Close() })
	defer stop()
	defer p.wg.Wait()
	for {
		c, err := p.relay.ln.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			p.log.Warn("accept", zap.Error(err)) // out of file descriptors: existing connections go on
			time.Sleep(50 * time.Millisecond)
			continue
		}
		p.taken.Add(1)
		raw := evtls.NewConn(p.relay.poller, c)
		if !p.shaking.begin(raw) {
			p.results.WithLabelValues("shed").Inc()
			raw.Close()
			continue
		}
		p.wg.Go(func() { p.serve(ctx, raw, outer) })
	}
}

// heardBalancer reads who the client is, where a load balancer says it.
func (p *public) heardBalancer(raw *evtls.Conn) bool {
	c, ok := raw.NetConn().(*proxyproto.Conn)
	if !ok {
		return true
	}
	err := c.Header()
	if errors.Is(err, proxyproto.ErrHeader) { // one that connects and goes is a simple health check
		p.results.WithLabelValues("unproxied").Inc()
		p.complain.Do(func() {
			p.log.Warn("a load balancer in proxy_protocol sends no PROXY header: switch it on there, or take the balancer out of proxy_protocol", zap.Error(err))
		})
	}
	return err == nil
}

func (p *public) serve(ctx context.Context, raw *evtls.Conn, cfg *tls.Config) {
	p.shaking.goesOn(raw)
	if !p.heardBalancer(raw) {
		p.shaking.end(raw)
		raw.Close()
		return
	}
	c := tls.Server(raw, cfg)
	hctx, cancel := context.WithTimeout(ctx, handshakeTime)
	began := time.Now()
	err := c.HandshakeContext(hctx)
	cancel()
	sayTLS(raw, err) // counted among the handshakes, which are bounded
	p.shaking.end(raw)
	if give := raw.OnRead(nil); give != nil {
		give() // it failed before it had to read
	}
	switch {
	case errors.Is(err, errShed):
		p.results.WithLabelValues("shed").Inc()
		return
	case err != nil:
		p.results.WithLabelValues("failed").Inc()
		p.log.Debug("handshake", zap.Error(err))
		c.Close()
		return
	}
	state := c.ConnectionState()
	p.relay.metrics.shook(state.NegotiatedProtocol == tunnel.ALPN, time.Since(began))
	host := p.host(state.ServerName)
	switch {
	case state.NegotiatedProtocol == tunnel.ALPN:
		p.results.WithLabelValues("tunnel").Inc()
		p.wg.Add(1) // Run waits for the tunnel, though this goroutine does not
		p.relay.uplink.Serve(ctx, c, p.wg.Done)
	case state.NegotiatedProtocol == peer.ALPN:
		p.results.WithLabelValues("peer").Inc()
		p.relay.peers.Serve(ctx, c)
	case host != nil:
		p.results.WithLabelValues("host").Inc()
		host(c)
	default:
		p.results.WithLabelValues("site").Inc()
		if err := p.relay.edge.ServeTLS(c); err != nil {
			p.log.Debug("browser connection", zap.Error(err))
		}
	}
}

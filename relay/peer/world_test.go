package peer_test

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"

	"trunkline/internal/bus"
	"trunkline/internal/evtls"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/mux"
	"trunkline/internal/peercert"
	"trunkline/internal/tunnel"
	"trunkline/relay/peer"
)

const patience = 30 * time.Second

// relay is Peers behind a port of their own.
type relay struct {
	*peer.Peers
	t    testing.TB
	name id.Relay
	ln   net.Listener
	stop func()
	reg  *prometheus.Registry

	mu    sync.Mutex
	issue peercert.Authority
	admit func(peer.Request) (peer.Device, error)
	conns []net.Conn // accepted
	heard []peer.Notice
	idle  map[id.Visit]time.Duration
	lost  []id.Relay
	// What is known of devices beyond that they are at relay-2.
	besides bool // they have another way in
	moved   map[id.Device]id.Relay
}

func start(t testing.TB, a peercert.Authority, name id.Relay) *relay {
	t.Helper()
	alone := make(chan struct{})
	close(alone)
	return startAs(t, a, name, alone)
}

func startAs(t testing.TB, a peercert.Authority, name id.Relay, alone <-chan struct{}) *relay {
	t.Helper()
	r := &relay{t: t, name: name, reg: prometheus.NewRegistry(), issue: a}
	var err error
	if r.ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	poller := evtls.New(0)
	r.Peers = peer.New(peer.Options{
		Config: peer.Default(), Relay: name, Alone: alone, Log: zaptest.NewLogger(t), Registerer: r.reg,
		Certify: func(_ context.Context, q []byte) ([]byte, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.issue.Issue(name, q, time.Now())
		},
		Admit: func(_ context.Context, _ id.Relay, q peer.Request) (peer.Device, error) {
			r.mu.Lock()
			admit := r.admit
			r.mu.Unlock()
			if admit == nil {
				return nil, fault.New(fault.NotHere, "Not here.")
			}
			return admit(q)
		},
		Holder: func(d id.Device) id.Relay {
			r.mu.Lock()
			defer r.mu.Unlock()
			return cmp.Or(r.moved[d], "relay-2")
		},
		Besides: func(id.Device, id.Relay) bool { r.mu.Lock(); defer r.mu.Unlock(); return r.besides },
		Poller:  poller,
		Heard:   func(_ id.Relay, n peer.Notice) { r.mu.Lock(); defer r.mu.Unlock(); r.heard = append(r.heard, n) },
		Seen: func(v id.Visit) (time.Duration, bool) {
			r.mu.Lock()
			defer r.mu.Unlock()
			d, ok := r.idle[v]
			return d, ok
		},
		Lost:      func(x id.Relay) { r.mu.Lock(); defer r.mu.Unlock(); r.lost = append(r.lost, x) },
		Connected: func() bool { return true },
	})
	r.SetPing(time.Hour) // what is not about silence shall not hang on a machine that is slow
	r.SetRoots([]peercert.Root{a.Root()})
	ctx, cancel := context.WithCancel(context.Background())
	polling, unpoll := context.WithCancel(context.Background())
	var wg, loops sync.WaitGroup
	loops.Go(func() { _ = poller.Run(polling) })
	wg.Go(func() { _ = r.Run(ctx) })
	wg.Go(func() { r.accept(ctx, poller, &wg) })
	r.stop = func() {
		cancel()
		r.ln.Close()
		r.cut()
		wg.Wait()
		unpoll()
		loops.Wait()
	}
	t.Cleanup(r.stop)
	return r
}

func (r *relay) accept(ctx context.Context, poller *evtls.Poller, wg *sync.WaitGroup) {
	conf := r.ServerTLS()
	for {
		c, err := r.ln.Accept()
		if err != nil {
			return
		}
		r.mu.Lock()
		r.conns = append(r.conns, c)
		r.mu.Unlock()
		wg.Go(func() {
			s := tls.Server(evtls.NewConn(poller, c), conf)
			if s.HandshakeContext(ctx) != nil {
				c.Close()
				return
			}
			r.Serve(ctx, s)
		})
	}
}

// cut breaks the connections that others made.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.Close()
	}
	r.conns = nil
}

func (r *relay) admits(f func(peer.Request) (peer.Device, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.admit = f
}

// issued has control issue by another authority from now on.
func (r *relay) issued(a peercert.Authority) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.issue = a
}

func (r *relay) lease() bus.Lease {
	return bus.Lease{Relay: r.name, Peer: r.ln.Addr().String(), PeerVersions: peer.Versions, Started: time.Now()}
}

// meets has each know of the other.
func (r *relay) meets(o *relay) {
	r.hears(o.lease())
	o.hears(r.lease())
}

func (r *relay) hears(l bus.Lease) {
	r.Apply(bus.Event[bus.Lease]{Kind: bus.Put, Key: string(l.Relay), Value: l})
}

// pair is two relays that know each other. The second has the devices.
func pair(t testing.TB) (a peercert.Authority, first, second *relay) {
	t.Helper()
	a = peercert.NewAuthority(time.Now())
	first, second = start(t, a, "relay-1"), start(t, a, "relay-2")
	first.meets(second)
	return a, first, second
}

func question() peer.Request {
	return peer.Request{Device: id.NewDevice(), Header: tunnel.Header{Service: tunnel.ServicePortal, Visit: id.NewVisit()}}
}

// open is Open at the second relay, once the links are up.
func (r *relay) open(q peer.Request) *peer.Stream {
	r.t.Helper()
	var s *peer.Stream
	eventually(r.t, "a stream to relay-2", func() (err error) {
		ctx, cancel := context.WithTimeout(r.t.Context(), patience)
		defer cancel()
		s, err = r.Open(ctx, "relay-2", q)
		return err
	})
	r.t.Cleanup(func() { s.Close() })
	return s
}

func eventually(t testing.TB, what string, ok func() error) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// device is a device's stream, and what the device has of it: a session of the
// same kind as a tunnel.
func device(t testing.TB, serve func(*mux.Stream)) func(peer.Request) (peer.Device, error) {
	t.Helper()
	near, far := net.Pipe()
	var wg sync.WaitGroup
	session := func(c net.Conn, client bool, accept func(*mux.Stream)) *mux.Session {
		s := mux.New(mux.Config{Client: client, Accept: accept, BothWays: true, Addrs: c, Write: func(b []byte) error { _, err := c.Write(b); return err }})
		wg.Go(func() {
			var r mux.Reader
			defer r.Release()
			for {
				n, err := c.Read(r.Room())
				if n > 0 && r.Took(s, n) != nil || err != nil {
					s.Fail(nil)
					return
				}
			}
		})
		return s
	}
	s := session(near, true, nil)
	session(far, false, func(x *mux.Stream) { wg.Go(func() { defer x.Close(); serve(x) }) })
	t.Cleanup(func() { near.Close(); far.Close(); wg.Wait() })
	return func(peer.Request) (peer.Device, error) {
		x, err := s.Open(nil)
		return pbx{x}, err
	}
}

// pbx is a stream that loops may pass on; watched one that only goroutines may, since
// what passes is looked at.
type (
	pbx     struct{ *mux.Stream }
	watched struct{ *mux.Stream }
)

func (d pbx) Mux() *mux.Stream   { return d.Stream }
func (watched) Mux() *mux.Stream { return nil }

// admission is what a relay does with the streams of others.
type admission = func(peer.Request) (peer.Device, error)

// passing runs a test with devices whose bytes loops pass on, and with others.
func passing(t *testing.T, test func(t *testing.T, by func(admission) admission)) {
	t.Helper()
	t.Run("by loops", func(t *testing.T) { test(t, func(a admission) admission { return a }) })
	t.Run("by goroutines", func(t *testing.T) {
		test(t, func(a admission) admission {
			return func(q peer.Request) (peer.Device, error) {
				d, err := a(q)
				return watched{d.Mux()}, err
			}
		})
	})
}

func echo(s *mux.Stream) { _, _ = io.Copy(s, s) }

// stranger is a TLS connection to r by whoever has cert.
func stranger(t testing.TB, r *relay, cert *tls.Certificate) (*tls.Conn, error) {
	t.Helper()
	conf := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{peer.ALPN}}
	if cert != nil {
		conf.Certificates = []tls.Certificate{*cert}
	}
	c, err := tls.Dial("tcp", r.ln.Addr().String(), conf)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c, nil
}

func certificate(t testing.TB, a peercert.Authority, name id.Relay) *tls.Certificate {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	q, err := peercert.Request(name, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := a.Issue(name, q, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

var errOther = errors.New("other bytes came than were sent")

func (r *relay) idles(v id.Visit, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.idle == nil {
		r.idle = make(map[id.Visit]time.Duration)
	}
	r.idle[v] = d
}

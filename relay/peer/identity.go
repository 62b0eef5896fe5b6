package peer

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/peercert"
)

// identity is what this relay proves itself with, and what it believes of
// others. The key is made here, with each certificate, and is in memory only.
type identity struct {
	self id.Relay
	// ask has control sign a request; the answer is a certificate in DER.
	ask   func(ctx context.Context, request []byte) ([]byte, error)
	log   *zap.Logger
	roots atomic.Pointer[x509.CertPool] // replaced as a whole
	cert  atomic.Pointer[tls.Certificate]
	other chan struct{} // the roots are others: capacity 1
}

func newIdentity(self id.Relay, ask func(context.Context, []byte) ([]byte, error), log *zap.Logger) *identity {
	i := &identity{self: self, ask: ask, log: log, other: make(chan struct{}, 1)}
	i.roots.Store(x509.NewCertPool())
	return i
}

// setRoots replaces the authorities that are believed. Certificates that are at
// work stay so: a link is judged when it is made.
func (i *identity) setRoots(roots []peercert.Root) {
	pool := x509.NewCertPool()
	for _, r := range roots {
		c, err := x509.ParseCertificate(r.Cert)
		if err != nil {
			i.log.Warn("malformed authority of relays on the bus", zap.String("authority", r.ID), zap.Error(err))
			continue
		}
		pool.AddCert(c)
	}
	i.roots.Store(pool)
	select {
	case i.other <- struct{}{}:
	default:
	}
}

const (
	askFirst = time.Second // after a failure; doubles
	askMost  = time.Minute
)

// run keeps a certificate until ctx ends: it asks for the next one at two thirds
// of its life, and when no authority that is believed has issued it. What there
// is serves on while control cannot be asked.
func (i *identity) run(ctx context.Context) error {
	next := time.NewTimer(0)
	defer next.Stop()
	wait := askFirst
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		case <-i.other:
			if i.good() {
				continue
			}
		}
		until, err := i.renew(ctx)
		if err == nil {
			wait = askFirst
			next.Reset(renewIn(time.Until(until)))
			continue
		}
		if ctx.Err() == nil {
			// With control in the same process the first question comes before it answers.
			level := zap.InfoLevel
			if wait == askFirst {
				level = zap.DebugLevel
			}
			i.log.Log(level, "no certificate for other relays yet, trying on", zap.Bool("had", i.cert.Load() != nil), zap.Error(err))
		}
		next.Reset(mrand.N(wait) + wait/10)
		wait = min(2*wait, askMost)
	}
}

// renewIn is when to ask for the next certificate, of one that is good for so long. To
// a clock that is two thirds of a life ahead a new one is old already: it asks no more
// often than a relay that gets none.
func renewIn(left time.Duration) time.Duration {
	return max(left-peercert.Life/3+mrand.N(peercert.Life/20), askMost+mrand.N(askMost/2))
}

// good says whether other relays believe the certificate there is, as far as
// this one can tell.
func (i *identity) good() bool {
	c := i.cert.Load()
	if c == nil {
		return false
	}
	_, err := peercert.Verify([]*x509.Certificate{c.Leaf}, i.roots.Load(), time.Now())
	return err == nil
}

// renew gets a certificate for a new key and says until when it is good.
func (i *identity) renew(ctx context.Context) (until time.Time, err error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return until, err
	}
	q, err := peercert.Request(i.self, key)
	if err != nil {
		return until, fmt.Errorf("certificate request: %w", err)
	}
	der, err := i.ask(ctx, q)
	if err != nil {
		return until, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return until, fmt.Errorf("certificate from control: %w", err)
	}
	// The authority may be younger than what the bus has told us; what would be
	// wrong at the others is told here.
	switch r, err := peercert.Verify([]*x509.Certificate{leaf}, i.roots.Load(), time.Now()); {
	case err != nil:
		return until, fmt.Errorf("certificate from control: %w", err)
	case r != i.self || !key.Public().(ed25519.PublicKey).Equal(leaf.PublicKey):
		return until, errors.New("certificate from control: it is not the one that was asked for")
	}
	i.cert.Store(&tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf})
	i.log.Info("certificate for other relays", zap.Time("until", leaf.NotAfter))
	return leaf.NotAfter, nil
}

// expires is when the certificate ends, the zero time if there is none.
func (i *identity) expires() time.Time {
	if c := i.cert.Load(); c != nil {
		return c.Leaf.NotAfter
	}
	return time.Time{}
}

func (i *identity) current() (*tls.Certificate, error) {
	if c := i.cert.Load(); c != nil {
		return c, nil
	}
	return nil, fault.New(fault.NotReady, "This relay has no certificate from control yet.")
}

// peerOf says which relay is at the other end of c.
func (i *identity) peerOf(c tls.ConnectionState) (id.Relay, error) {
	return peercert.Verify(c.PeerCertificates, i.roots.Load(), time.Now())
}

// server is the public port's configuration for other relays. expected says no
// to those that should not come.
func (i *identity) server(expected func(id.Relay) error) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{ALPN}, ClientAuth: tls.RequireAnyClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return i.current() },
		VerifyConnection: func(c tls.ConnectionState) error {
			r, err := i.peerOf(c)
			if err != nil {
				return err
			}
			return expected(r)
		},
		SessionTicketsDisabled: true, DynamicRecordSizingDisabled: true,
	}
}

// client is for a connection to r.
func (i *identity) client(r id.Relay) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{ALPN},
		// No name of the public DNS is in these certificates: VerifyConnection
		// checks authority and relay.
		InsecureSkipVerify:   true, //nolint:gosec // see above
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return i.current() },
		VerifyConnection: func(c tls.ConnectionState) error {
			at, err := i.peerOf(c)
			if err == nil && at != r {
				err = fmt.Errorf("relay %s answers: check peer.advertise of %s", at, r)
			}
			return err
		},
		DynamicRecordSizingDisabled: true,
	}
}

// Package certfile is a certificate and its key in PEM files, read again when
// they change: a renewal needs no restart. Files may be replaced in any way,
// also by swapping a symbolic link on the way to them, as certbot and
// cert-manager do. A pair that cannot be used changes nothing: the one before
// it goes on, the log says what is wrong, and a metric counts it. So it is with one
// that is not valid yet, or lacks a name that the one before it has.
package certfile

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// checkEvery is how often the files are looked at: two stats, no more, while
// they stay as they are.
const checkEvery = 10 * time.Second

// Options say which pair, and what it is for.
type Options struct {
	Cert, Key string // the files
	// Names are what clients come for: host names, addresses, or *.zone for any name
	// right below the zone. At the start one that the certificate is not for is only
	// told of; later no pair without it takes the place of one with it.
	Names    []string
	Failures prometheus.Counter // of changes that cannot be used
	Log      *zap.Logger
}

// Pair is one certificate with its key. Safe for concurrent use.
type Pair struct {
	o   Options
	log *zap.Logger

	mu      sync.Mutex // guards what follows
	current *tls.Certificate
	seen    [2]os.FileInfo // the files that were read last, whether they were good or not
	again   time.Time      // when the same files may be good; zero: never
	checked time.Time
}

// Open reads both files, which must be a pair now.
func Open(o Options) (*Pair, error) {
	p := &Pair{o: o, log: o.Log.With(zap.String("file", o.Cert))}
	files, err := p.stat()
	if err == nil {
		p.seen = files
		err = p.loadLocked()
	}
	if err != nil {
		return nil, err
	}
	p.checked = time.Now()
	leaf := p.current.Leaf
	if lack := lacks(leaf, o.Names); len(lack) > 0 {
		p.log.Warn("the certificate is not for names that clients come for: have it issued for these too", zap.Strings("lacks", lack), zap.Strings("names", leaf.DNSNames))
	}
	if p.checked.Before(leaf.NotBefore) {
		p.log.Warn("the certificate is not valid yet: look at this machine's clock", zap.Time("valid_from", leaf.NotBefore))
	}
	return p, nil
}

// Server is a tls.Config's GetCertificate.
func (p *Pair) Server(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.newest(), nil }

// Client is a tls.Config's GetClientCertificate.
func (p *Pair) Client(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return p.newest(), nil }

func (p *Pair) newest() *tls.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.checkLocked(checkEvery)
	return p.current
}

// Check looks at the files now.
func (p *Pair) Check() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.checkLocked(0)
}

// Run looks at the files until ctx ends, so that what is wrong with a new pair
// is known before somebody comes.
func (p *Pair) Run(ctx context.Context) error {
	t := time.NewTicker(checkEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			p.Check()
		case <-ctx.Done():
			return nil
		}
	}
}

// checkLocked reads the files if they are others than those read last, unless
// that was looked into within age. A pair that is renewed one file after the
// other does not fit together for a moment: it is bad, and then changes again.
func (p *Pair) checkLocked(age time.Duration) {
	now := time.Now()
	if now.Sub(p.checked) < age {
		return
	}
	p.checked = now
	files, err := p.stat()
	switch {
	case err == nil && same(files[0], p.seen[0]) && same(files[1], p.seen[1]):
		if p.again.IsZero() || now.Before(p.again) {
			return
		}
	case err != nil && p.seen == files:
		return // still gone
	}
	p.seen, p.again = files, time.Time{}
	if err == nil {
		err = p.loadLocked()
	}
	if err != nil {
		p.o.Failures.Inc()
		p.log.Warn("the new certificate cannot be used; the one before goes on", zap.Error(err))
		return
	}
	p.log.Info("certificate changed", zap.Time("expires", p.current.Leaf.NotAfter), zap.Strings("names", p.current.Leaf.DNSNames))
}

func (p *Pair) loadLocked() error {
	pair, err := tls.LoadX509KeyPair(p.o.Cert, p.o.Key)
	if err != nil {
		return fmt.Errorf("%s and %s: %w", p.o.Cert, p.o.Key, err)
	}
	if p.current != nil {
		if p.again, err = refuse(p.current.Leaf, pair.Leaf, p.o.Names, time.Now()); err != nil {
			return fmt.Errorf("%s: %w", p.o.Cert, err)
		}
	}
	p.current = &pair
	return nil
}

// stat follows links. With an error both are nil.
func (p *Pair) stat() (out [2]os.FileInfo, err error) {
	for i, path := range []string{p.o.Cert, p.o.Key} {
		if out[i], err = os.Stat(path); err != nil {
			return [2]os.FileInfo{}, err
		}
	}
	return out, nil
}

// same reports whether a file has not been touched: it is the same one, as old
// and as large.
func same(a, b os.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

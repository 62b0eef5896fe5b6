// Package certfile is a certificate and its key in PEM files, read again when
// they change: a renewal needs no restart. Files may be replaced in any way,
// also by swapping a symbolic link on the way to them, as certbot and
// cert-manager do. A pair that cannot be used changes nothing: the one before
// it goes on, the log says what is wrong, and a metric counts it.
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

// Pair is one certificate with its key. Safe for concurrent use.
type Pair struct {
	cert, key string
	log       *zap.Logger
	failures  prometheus.Counter

	mu      sync.Mutex // guards what follows
	current *tls.Certificate
	seen    [2]os.FileInfo // the files that were read last, whether they were good or not
	checked time.Time
}

// Open reads both files, which must be good now. failures counts changes that
// cannot be used.
func Open(cert, key string, failures prometheus.Counter, log *zap.Logger) (*Pair, error) {
	p := &Pair{cert: cert, key: key, failures: failures, log: log.With(zap.String("file", cert))}
	files, err := p.stat()
	if err == nil {
		p.seen = files
		err = p.loadLocked()
	}
	if err != nil {
		return nil, err
	}
	p.checked = time.Now()
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
		return
	case err != nil && p.seen == files:
		return // still gone
	}
	p.seen = files
	if err == nil {
		err = p.loadLocked()
	}
	if err != nil {
		p.failures.Inc()
		p.log.Warn("the new certificate cannot be used; the one before goes on", zap.Error(err))
		return
	}
	p.log.Info("certificate changed", zap.Time("expires", p.current.Leaf.NotAfter), zap.Strings("names", p.current.Leaf.DNSNames))
}

func (p *Pair) loadLocked() error {
	pair, err := tls.LoadX509KeyPair(p.cert, p.key)
	if err != nil {
		return fmt.Errorf("%s and %s: %w", p.cert, p.key, err)
	}
	if now := time.Now(); p.current != nil && now.After(pair.Leaf.NotAfter) {
		return fmt.Errorf("%s: expired at %s", p.cert, pair.Leaf.NotAfter.Format(time.RFC3339))
	}
	p.current = &pair
	return nil
}

// stat follows links. With an error both are nil.
func (p *Pair) stat() (out [2]os.FileInfo, err error) {
	for i, path := range []string{p.cert, p.key} {
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

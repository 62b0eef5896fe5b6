package pbxsim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

const (
	headerTimeout  = 10 * time.Second
	idleTimeout    = 75 * time.Second // keep-alive, nginx's default: what appliances have
	maxHeaderBytes = 64 << 10
	shutdownGrace  = time.Second // for answers under way and WebSocket goodbyes
)

// Config says who the PBX is. The zero value is a portal on a free loopback
// port over plain HTTP that nobody can sign in to.
type Config struct {
	Listen string // host:port; "" is "127.0.0.1:0"
	TLS    bool   // with a self-signed certificate, as appliances come

	Serial, Model, Firmware, Name string // shown; "" is a plausible one

	Hosts        []string // further Host values the portal takes for its own, with or without a port
	AbsoluteHost string   // host[:port] for absolute redirects; "": the request's Host

	SuperAdmin, SuperPassword string // "": no such account
	Admin, AdminPassword      string // has the Administrator role

	// TrustedHeader, from this machine and with the super administrator's name,
	// signs a request in without a session; PersonHeader says for whom. "": none.
	TrustedHeader, PersonHeader string

	// Local is where programs on the PBX itself reach it, on loopback; "" is nowhere.
	Local string

	// FactsFile is where the PBX says, in JSON, what it is in its Pair. "": nowhere.
	FactsFile string
}

// Portal is one PBX's web portal.
type Portal struct {
	cfg      Config
	log      *zap.Logger
	listener *listener
	srv      *http.Server
	certHash string
	scheme   string
	hosts    map[string]bool // lower case, as in the Host header
	handler  http.Handler

	sessions *sessions
	ops      *operations
	pbx      *pbx
	remote   remoteAccount
	local    *local               // nil: none
	part     atomic.Pointer[part] // nil: no pair

	stop chan struct{} // closed when Run ends: long answers end on it

	mu      sync.Mutex
	closing bool           // no handler may begin
	busy    sync.WaitGroup // handlers, hijacked ones too: http.Server forgets those
}

// New binds Listen and serves nothing yet.
func New(cfg Config, log *zap.Logger) (*Portal, error) {
	cfg, err := withDefaults(cfg)
	if err != nil {
		return nil, err
	}
	p := &Portal{
		cfg: cfg, log: log, scheme: "http",
		sessions: newSessions(), ops: new(operations), pbx: newPBX(time.Now()),
		stop: make(chan struct{}),
	}
	ln, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for the portal: %w", err)
	}
	if cfg.Local != "" {
		if p.local, err = p.listenLocal(cfg.Local); err != nil {
			return nil, errors.Join(err, ln.Close())
		}
	}
	p.hosts = ownHosts(cfg, ln.Addr().(*net.TCPAddr).Port)
	p.listener = newListener(ln)
	if cfg.TLS {
		cert, hash, err := selfSigned(cfg)
		if err != nil {
			return nil, errors.Join(err, ln.Close(), p.local.close())
		}
		p.scheme, p.certHash = "https", hash
		p.listener.tls = &tls.Config{
			Certificates: []tls.Certificate{cert},
			NextProtos:   []string{"http/1.1"}, // WebSocket and the hard cases need the connection itself
		}
	}
	p.handler = p.doors(p.routes())
	errorLog, err := zap.NewStdLogAt(log, zap.DebugLevel) // clients that hang up, mostly
	if err != nil {
		return nil, errors.Join(err, ln.Close(), p.local.close())
	}
	p.srv = &http.Server{
		Handler:           p.handler,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          errorLog,
	}
	return p, nil
}

func withDefaults(c Config) (Config, error) {
	for _, d := range []struct {
		field *string
		value string
	}{
		{&c.Listen, "127.0.0.1:0"}, {&c.Serial, "3631A2417001"}, {&c.Model, "P-Series Appliance Edition"},
		{&c.Firmware, "37.20.0.128"}, {&c.Name, "Head Office"},
	} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	switch {
	case c.SuperAdmin != "" && c.SuperPassword == "", c.Admin != "" && c.AdminPassword == "":
		return c, errors.New("a portal account needs a password")
	case c.TrustedHeader != "" && c.SuperAdmin == "":
		return c, errors.New("a trusted header needs a super administrator")
	case c.SuperAdmin != "" && c.SuperAdmin == c.Admin:
		return c, errors.New("the portal's super administrator and Administrator need different names")
	}
	return c, nil
}

// URL is where the portal listens, without a trailing slash: the origin it
// has for those who reach it directly.
func (p *Portal) URL() string { return p.scheme + "://" + p.listener.Addr().String() }

// CertSHA256 is the SHA-256 of the whole certificate's DER encoding, in lower
// case hex; "" without TLS.
func (p *Portal) CertSHA256() string { return p.certHash }

// Operations is the operation log, oldest first, bounded at its newest 1,000.
func (p *Portal) Operations() []Operation { return p.ops.list() }

// Handler serves the portal without its listener.
func (p *Portal) Handler() http.Handler { return p.handler }

// Run serves until ctx ends. It returns when every connection is closed and
// every handler has returned. It can run once.
func (p *Portal) Run(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := p.srv.Serve(p.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve the portal: %w", err)
		}
		return nil
	})
	if p.local != nil {
		g.Go(func() error { return p.local.run(gctx) })
	}
	g.Go(func() error {
		<-gctx.Done()
		p.shutdown()
		return nil
	})
	return g.Wait()
}

func (p *Portal) shutdown() {
	close(p.stop) // first: events, drips and WebSockets say goodbye within the grace
	ctx, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	_ = p.srv.Shutdown(ctx) // its one error is the grace's end, and closing is what follows

	p.mu.Lock()
	p.closing = true
	p.mu.Unlock()
	quiet := make(chan struct{})
	go func() {
		p.busy.Wait()
		close(quiet)
	}()
	select {
	case <-quiet:
	case <-ctx.Done():
	}
	_ = p.srv.Close()
	p.listener.closeConns() // the hijacked ones
	<-quiet
}

// enter counts a handler in; false when the portal is closing.
func (p *Portal) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		return false
	}
	p.busy.Add(1)
	return true
}

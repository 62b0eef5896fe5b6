package page

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"trunkline/agent/manage"
)

// Off as Config.Listen switches the page off.
const Off = "off"

// Config is the `page` section of the agent's configuration file.
type Config struct {
	Listen string   `yaml:"listen"` // on loopback; "off": none
	Hosts  []string `yaml:"hosts"`  // other host names by which browsers reach it
}

const maxHosts = 16

// Validate names the key that is wrong.
func (c Config) Validate() error {
	if c.Listen == Off {
		return nil
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("page.listen: %w", err)
	}
	if a, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !a.IsLoopback()) {
		return errors.New("page.listen: need an address on loopback: what is typed there is not encrypted; for others put the PBX's own web server in front")
	}
	if len(c.Hosts) > maxHosts {
		return fmt.Errorf("page.hosts: at most %d", maxHosts)
	}
	for _, h := range c.Hosts {
		if h == "" || len(h) > 253 || strings.ContainsAny(h, "/:@*?# \t\r\n") {
			return fmt.Errorf("page.hosts: %q is no host name (give it without scheme and port)", h)
		}
	}
	return nil
}

// Password is the page's own password: its hash, kept by the agent.
type Password struct {
	Load  func() (hash string, err error) // "" while none is set; an error if it cannot be read
	Store func(hash string) error
}

// Page serves the page. Make it with New.
type Page struct {
	desk     manage.Desk
	log      *zap.Logger
	ln       net.Listener
	srv      *http.Server
	hosts    map[string]bool
	sessions *sessions
	lock     *lock
	ending   chan struct{}
	handlers sync.WaitGroup
}

// New binds the page's address; nothing is served before Run.
func New(c Config, desk manage.Desk, p Password, log *zap.Logger) (*Page, error) {
	ln, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("page.listen: %w", err)
	}
	g := &Page{
		desk: desk, log: log, ln: ln, hosts: map[string]bool{"127.0.0.1": true, "localhost": true, "::1": true},
		sessions: newSessions(), lock: newLock(p), ending: make(chan struct{}),
	}
	for _, h := range c.Hosts {
		g.hosts[strings.ToLower(h)] = true
	}
	g.srv = &http.Server{
		Handler: g.door(g.mux()), ErrorLog: zap.NewStdLog(log), MaxHeaderBytes: 16 << 10,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 20 * time.Second, IdleTimeout: time.Minute,
	}
	return g, nil
}

// URL is where a browser on this machine finds the page.
func (g *Page) URL() string { return "http://" + g.ln.Addr().String() + "/" }

// Run serves until ctx ends, and waits for what it began.
func (g *Page) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		close(g.ending)
		g.srv.Close()
	})
	defer stop()
	g.log.Info("page serves", zap.String("url", g.URL()))
	err := g.srv.Serve(g.ln)
	g.handlers.Wait()
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("page: %w", err)
	}
	return nil
}

// Close frees the address of a Page that never ran.
func (g *Page) Close() error { return g.ln.Close() }

// Forget ends all sessions: the password is another one, or none.
func (g *Page) Forget() {
	g.sessions.clear()
	g.lock.forget()
}

// route is a pattern of http.ServeMux and who serves it.
type route struct {
	pattern string
	serve   http.HandlerFunc
}

func (g *Page) routes() []route {
	return []route{
		{"GET /assets/{name}", g.asset},
		{"GET /{$}", g.show},
		{"GET /live", g.live},
		{"POST /password", g.setPassword},
		{"POST /sign-in", g.signIn},
		{"POST /sign-out", g.signOut},
		{"POST /save", g.inside(g.save)},
		{"POST /access", g.inside(g.access)},
		{"POST /visits/end", g.inside(g.endVisit)},
		{"/", func(w http.ResponseWriter, r *http.Request) {
			g.fail(w, r, http.StatusNotFound, "Nothing here", "There is no such page.")
		}},
	}
}

func (g *Page) mux() http.Handler {
	m := http.NewServeMux()
	for _, r := range g.routes() {
		m.HandleFunc(r.pattern, r.serve)
	}
	return m
}

// detached is a context for what must not stop half-way when the browser goes
// away. It ends when the page does.
func (g *Page) detached(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	done := make(chan struct{})
	g.handlers.Go(func() {
		select {
		case <-g.ending:
			cancel()
		case <-done:
		}
	})
	return ctx, func() {
		cancel()
		close(done)
	}
}

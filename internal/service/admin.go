package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
)

// Admin is a daemon's listener for its operators, on loopback by default:
// /healthz (the process serves), /readyz (it can do its job, or why not),
// /metrics and /debug/pprof.
type Admin struct {
	ln  net.Listener
	srv *http.Server
	mux *http.ServeMux
	log *zap.Logger
}

// NewAdmin binds addr. metrics and profiles are this package's, or debug's, which
// the agent has no room for. ready returns nil or what is missing.
func NewAdmin(addr string, metrics, profiles http.Handler, ready func() error, log *zap.Logger) (*Admin, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("admin listener: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	mux.Handle("GET /metrics", metrics)
	mux.Handle("GET /debug/pprof/", profiles)
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, ErrorLog: zap.NewStdLog(log)}
	return &Admin{ln: ln, srv: srv, mux: mux, log: log}, nil
}

// Handle adds a page of the daemon's own. Call it before Run.
func (a *Admin) Handle(pattern string, h http.Handler) { a.mux.Handle(pattern, h) }

func (a *Admin) Addr() net.Addr { return a.ln.Addr() }

// Run serves until ctx ends. It outlives what it reports on: a daemon ends it
// last, so that a drain can be watched.
func (a *Admin) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { a.srv.Close() })
	defer stop()
	if err := a.srv.Serve(a.ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin listener: %w", err)
	}
	return nil
}

// Close frees the address of an Admin that never ran.
func (a *Admin) Close() error { return a.ln.Close() }

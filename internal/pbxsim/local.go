package pbxsim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"
)

const (
	maxOrder   = 64 << 10
	orderTime  = 10 * time.Second
	accountWay = "/remote-account"
)

// local is what programs on the PBX itself have: a listener of its own, which no
// visitor's request comes to.
//
//	POST /remote-account   {"version":1,"user":"support","password":"..."}: SetRemoteAccount
type local struct {
	ln  net.Listener
	srv *http.Server
}

// LocalURL is where that is, without a trailing slash; "" without Config.Local.
func (p *Portal) LocalURL() string {
	if p.local == nil {
		return ""
	}
	return "http://" + p.local.ln.Addr().String()
}

func (p *Portal) listenLocal(addr string) (*local, error) {
	if a, err := netip.ParseAddrPort(addr); err != nil || !a.Addr().IsLoopback() {
		return nil, fmt.Errorf("%s: programs on the PBX come by loopback", addr)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for programs on the PBX: %w", err)
	}
	m := http.NewServeMux()
	m.HandleFunc("POST "+accountWay, p.localAccount)
	// A page that a browser on this machine has open is no program: it can send
	// neither this type without being asked first, nor this Host by another name.
	own := ln.Addr().String()
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != own || r.Header.Get("Content-Type") != "application/json" {
			http.Error(w, "This is for programs on the PBX.", http.StatusForbidden)
			return
		}
		if !p.enter() {
			http.Error(w, "The PBX is shutting down.", http.StatusServiceUnavailable)
			return
		}
		defer p.busy.Done()
		m.ServeHTTP(w, r)
	})
	return &local{ln: ln, srv: &http.Server{Handler: h, ReadTimeout: orderTime}}, nil
}

func (l *local) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = l.srv.Close() })
	defer stop()
	if err := l.srv.Serve(l.ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve programs on the PBX: %w", err)
	}
	return nil
}

// close frees the address of one that never ran.
func (l *local) close() error {
	if l == nil {
		return nil
	}
	return l.ln.Close()
}

func (p *Portal) localAccount(w http.ResponseWriter, r *http.Request) {
	var order struct {
		Version        int
		User, Password string
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder)).Decode(&order); err != nil || order.Version != 1 {
		http.Error(w, "This order is none that the PBX knows.", http.StatusBadRequest)
		return
	}
	if err := p.SetRemoteAccount(order.User, order.Password); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

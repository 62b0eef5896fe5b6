// Package portal is the web server behind all simulated PBXs of a load test:
// one for thousands, which knows them apart by the loopback address that they
// connect from. Whatever it serves is package content's, so that a visitor
// knows whose bytes they are and that none is missing.
//
//	GET  /page/OBJECT/SIZE    GET /file/OBJECT/SIZE    GET /recording/OBJECT/SIZE
//	POST /upload/OBJECT       answers with what became of the bytes
//	GET  /live                a WebSocket that sends back what it is sent
package portal

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/coder/websocket"

	"trunkline/loadtest/content"
)

const (
	maxTransfer = 1 << 30
	maxMessage  = 128 << 10
	// idleTime is longer than relays keep a stream to the PBX for.
	idleTime = 2 * time.Minute
)

// first is the loopback address of PBX number 0: beyond what others on this
// machine use.
var first = netip.MustParseAddr("127.1.0.0")

// From is where PBX number n connects from, at any port.
func From(n uint32) netip.AddrPort {
	base := first.As4()
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(base[:])+n)
	return netip.AddrPortFrom(netip.AddrFrom4(b), 0)
}

// Number is the PBX that connects from an address.
func Number(from netip.Addr) (uint32, error) {
	if !from.Is4() {
		return 0, errors.New("no PBX connects from there")
	}
	a, base := from.As4(), first.As4()
	return binary.BigEndian.Uint32(a[:]) - binary.BigEndian.Uint32(base[:]), nil
}

// device is whose connection it is.
func device(remote string) (uint32, error) {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return 0, err
	}
	return Number(ap.Addr())
}

// Portal is the web server.
type Portal struct {
	ln  net.Listener
	srv *http.Server
}

// New binds a port on loopback.
func New() (*Portal, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("portal: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /page/{object}/{size}", serve("text/html; charset=utf-8"))
	mux.HandleFunc("GET /file/{object}/{size}", serve("image/png"))
	mux.HandleFunc("GET /recording/{object}/{size}", serve("audio/wav"))
	mux.HandleFunc("POST /upload/{object}", take)
	mux.HandleFunc("GET /live", live)
	return &Portal{ln: ln, srv: &http.Server{Handler: mux, ReadHeaderTimeout: 30 * time.Second, IdleTimeout: idleTime}}, nil
}

func (p *Portal) URL() string { return "http://" + p.Addr() }

// Addr is host:port.
func (p *Portal) Addr() string { return p.ln.Addr().String() }

// Run serves until ctx ends.
func (p *Portal) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { p.srv.Close() })
	defer stop()
	if err := p.srv.Serve(p.ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("portal: %w", err)
	}
	return nil
}

// Close frees the port of a Portal that never ran.
func (p *Portal) Close() error { return p.ln.Close() }

func asked(r *http.Request) (content.ID, error) {
	n, err := device(r.RemoteAddr)
	if err != nil {
		return content.ID{}, err
	}
	object, err := strconv.ParseUint(r.PathValue("object"), 10, 32)
	return content.ID{Device: n, Object: uint32(object)}, err
}

func serve(kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := asked(r)
		size, serr := strconv.ParseInt(r.PathValue("size"), 10, 64)
		if err = errors.Join(err, serr); err != nil || size < 0 || size > maxTransfer {
			http.Error(w, "no such file", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		w.Header().Set("Cache-Control", "no-store")
		_, _ = io.Copy(w, content.Reader(id, size)) // a visitor that is gone counts it over there
	}
}

func take(w http.ResponseWriter, r *http.Request) {
	id, err := asked(r)
	if err != nil || r.ContentLength < 0 || r.ContentLength > maxTransfer {
		http.Error(w, "need an object and a length", http.StatusBadRequest)
		return
	}
	c := content.NewChecker(id, r.ContentLength)
	if _, err := io.Copy(c, r.Body); err != nil {
		http.Error(w, "the upload broke off", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(c.Sum(true)) // as in serve
}

func live(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // the relay has seen to the origin
	if err != nil {
		return // it has answered
	}
	defer func() { _ = ws.CloseNow() }()
	ws.SetReadLimit(maxMessage)
	for {
		kind, b, err := ws.Read(r.Context())
		if err == nil {
			err = ws.Write(r.Context(), kind, b)
		}
		if err != nil {
			return
		}
	}
}

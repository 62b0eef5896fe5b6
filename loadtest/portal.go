package loadtest

import (
	"bytes"
	"net"
	"net/http"
	"strconv"
	"time"
)

// portal is what all simulated PBXs serve: one answer, whatever is asked.
type portal struct {
	url string
	srv *http.Server
}

func newPortal(size int) (*portal, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	body := bytes.Repeat([]byte("trunkline "), size/10+1)[:size]
	length := strconv.Itoa(size)
	p := &portal{url: "http://" + ln.Addr().String(), srv: &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Content-Length", length)
			// A visitor that is gone has its error counted over there.
			_, _ = w.Write(body)
		}),
	}}
	go p.srv.Serve(ln) //nolint:errcheck // it ends by close, and a test without a portal fails by itself
	return p, nil
}

func (p *portal) close() { p.srv.Close() }

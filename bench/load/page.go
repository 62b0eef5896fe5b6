package load

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// A portal's page as a browser opens it that was not there before: the document,
// then assets of 1 to 64 KiB, a megabyte in all.
const (
	PageAssets = 60
	pageSize   = 8 << 10
	pageConns  = 6 // that a browser has to one host over HTTP/1.1
)

func assetSize(i int) int64 { return 1 << (10 + i%7) }

// BytesPath is where the portal has n bytes.
func BytesPath(n int64) string { return fmt.Sprintf("/bytes?n=%d", n) }

// OpenPage gets the document and then all assets over six new connections.
func OpenPage(ctx context.Context, e Endpoint, conf *tls.Config) error {
	first, err := e.Dial(ctx, conf)
	if err != nil {
		return err
	}
	defer first.Close()
	if err := first.Get(BytesPath(pageSize), pageSize); err != nil {
		return err
	}
	var next atomic.Int64
	rest := func(w *Wire) error {
		for {
			i := int(next.Add(1)) - 1
			if i >= PageAssets {
				return nil
			}
			if err := w.Get(BytesPath(assetSize(i)), assetSize(i)); err != nil {
				return err
			}
		}
	}
	var g errgroup.Group
	g.Go(func() error { return rest(first) })
	for range pageConns - 1 {
		g.Go(func() error {
			w, err := e.Dial(ctx, conf)
			if err != nil {
				return err
			}
			defer w.Close()
			return rest(w)
		})
	}
	return g.Wait()
}

// OpenPageH2 gets them over one new connection, all assets at once.
func OpenPageH2(ctx context.Context, e Endpoint, conf *tls.Config) error {
	conf = conf.Clone()
	conf.ServerName = e.Host
	t := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, e.address())
		},
		TLSClientConfig: conf, DisableCompression: true, Protocols: new(http.Protocols),
	}
	t.Protocols.SetHTTP2(true)
	c := &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer c.CloseIdleConnections()
	if err := e.download(ctx, c, BytesPath(pageSize), pageSize); err != nil {
		return err
	}
	var g errgroup.Group
	for i := range PageAssets {
		g.Go(func() error { return e.download(ctx, c, BytesPath(assetSize(i)), assetSize(i)) })
	}
	return g.Wait()
}

package main

import (
	"context"
	"net"

	"trunkline/bench/load"
	"trunkline/internal/id"
)

// startProxies brings up a fresh relay with one PBX behind it, which is the first,
// the same portal, and whatever else proxies to it and is there.
func startProxies(ctx context.Context, w *world, r *report) ([]proxy, error) {
	cert, key, err := leafPEM(w, zone)
	if err != nil {
		return nil, err
	}
	var portal portalReady
	server, err := w.fam.rexec(ctx, w.o, "portal", portalOrder{cert, key}, &portal)
	if err != nil {
		return nil, err
	}
	relay, err := w.startRelay(ctx, cpuRelay, w.first)
	if err != nil {
		return nil, err
	}
	device, err := w.startAgent(ctx, "http://"+portal.Plain)
	if err != nil {
		return nil, err
	}
	nginx, err := startNginx(ctx, w, portal.TLS)
	if err != nil {
		return nil, err
	}
	second, err := w.startRelay(ctx, secondRelay, w.second)
	if err != nil {
		return nil, err
	}
	forwarding := w.relayProxy(second, device, w.second)
	forwarding.via, forwarding.behind = viaSecond, relay
	out := []proxy{w.relayProxy(relay, device, w.first), forwarding, nginx.proxy(viaNginx)}
	if _, err := lookup("haproxy"); err != nil {
		r.missing(viaHAProxy, err)
	} else {
		haproxy, err := startHAProxy(ctx, w, portal.TLS)
		if err != nil {
			return nil, err
		}
		out = append(out, haproxy.proxy(viaHAProxy))
	}
	out = append(out, portal.server(server).proxy(viaDirect, needH2))
	if w.o.peers == nil {
		return out, nil
	}
	others, err := startPeers(ctx, w, r, portal.Plain)
	return append(out, others...), err
}

func (w *world) relayProxy(relay *child, device id.Device, at door) proxy {
	return proxy{via: viaRelay, child: relay, endpoint: func(ctx context.Context, edge string) (load.Endpoint, error) {
		return w.endpoint(ctx, device, at, edge)
	}}
}

func (s *webServer) proxy(via string, lacks ...string) proxy {
	return proxy{via: via, child: s.child, lacks: lacks, endpoint: func(_ context.Context, edge string) (load.Endpoint, error) {
		return s.endpoint(edge), nil
	}}
}

// server is the portal as browsers in its own network reach it.
func (p portalReady) server(c *child) *webServer {
	s := &webServer{child: c, host: zone}
	_, s.portPlain, _ = net.SplitHostPort(p.Plain)
	_, s.portTLS, _ = net.SplitHostPort(p.TLS)
	return s
}

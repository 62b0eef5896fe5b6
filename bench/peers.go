package main

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"

	"trunkline/internal/freeport"
)

// frp has two ways: type http knows hosts and requests, as the relay does; type
// tcp passes bytes on. Its tunnel is yamux in TLS.
func startFRP(ctx context.Context, w *world, bin []string, portal string) ([]*webServer, error) {
	ports, err := freeport.Find(3)
	if err != nil {
		return nil, err
	}
	_, portalPort, _ := net.SplitHostPort(portal)
	host, token := "frp."+zone, rand.Text()
	server := fmt.Sprintf(`bindAddr = "127.0.0.1"
proxyBindAddr = "127.0.0.1"
bindPort = %s
vhostHTTPPort = %s
transport.tls.force = true
auth.token = %q
log.level = "warn"
`, ports[0], ports[1], token)
	client := fmt.Sprintf(`serverAddr = "127.0.0.1"
serverPort = %s
auth.token = %q
log.level = "warn"
[[proxies]]
name = "http"
type = "http"
localIP = "127.0.0.1"
localPort = %s
customDomains = [%q]
[[proxies]]
name = "tcp"
type = "tcp"
localIP = "127.0.0.1"
localPort = %s
remotePort = %s
`, ports[0], token, portalPort, host, portalPort, ports[2])
	serverFile, err := w.secret("frps.toml", server)
	if err != nil {
		return nil, err
	}
	clientFile, err := w.secret("frpc.toml", client)
	if err != nil {
		return nil, err
	}
	c, far, err := w.pair(ctx, "frp", []string{bin[0], "-c", serverFile}, ports[0], []string{bin[1], "-c", clientFile})
	return []*webServer{
		{child: c, far: far, host: host, portPlain: ports[1]},
		{child: c, far: far, host: host, portPlain: ports[2]},
	}, err
}

// rathole passes bytes on; its tunnels are a connection for each of a browser's,
// in Noise.
func startRathole(ctx context.Context, w *world, bin []string, portal string) ([]*webServer, error) {
	ports, err := freeport.Find(2)
	if err != nil {
		return nil, err
	}
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	token := rand.Text()
	server := fmt.Sprintf(`[server]
bind_addr = "127.0.0.1:%s"
default_token = %q
[server.transport]
type = "noise"
[server.transport.noise]
local_private_key = %q
[server.services.portal]
bind_addr = "127.0.0.1:%s"
`, ports[0], token, base64.StdEncoding.EncodeToString(key.Bytes()), ports[1])
	client := fmt.Sprintf(`[client]
remote_addr = "127.0.0.1:%s"
default_token = %q
[client.transport]
type = "noise"
[client.transport.noise]
remote_public_key = %q
[client.services.portal]
local_addr = %q
`, ports[0], token, base64.StdEncoding.EncodeToString(key.PublicKey().Bytes()), portal)
	serverFile, err := w.secret("rathole-server.toml", server)
	if err != nil {
		return nil, err
	}
	clientFile, err := w.secret("rathole-client.toml", client)
	if err != nil {
		return nil, err
	}
	c, far, err := w.pair(ctx, "rathole", []string{bin[0], "--server", serverFile}, ports[0], []string{bin[0], "--client", clientFile})
	return []*webServer{{child: c, far: far, host: "rathole." + zone, portPlain: ports[1]}}, err
}

// chisel passes bytes on, in SSH in a WebSocket.
func startChisel(ctx context.Context, w *world, bin []string, portal string) ([]*webServer, error) {
	ports, err := freeport.Find(2)
	if err != nil {
		return nil, err
	}
	// It takes no configuration file, and a secret on the command line is none:
	// whoever finds the port may tunnel to a portal of noughts.
	c, far, err := w.pair(ctx, "chisel",
		[]string{bin[0], "server", "--host", "127.0.0.1", "--port", ports[0], "--reverse"}, ports[0],
		[]string{bin[0], "client", "http://" + loopback(ports[0]), "R:127.0.0.1:" + ports[1] + ":" + portal})
	return []*webServer{{child: c, far: far, host: "chisel." + zone, portPlain: ports[1]}}, err
}

// piko knows requests, and finds the tunnel by the host's first label. Its tunnel
// is yamux in a WebSocket in TLS.
func startPiko(ctx context.Context, w *world, bin []string, portal string) ([]*webServer, error) {
	ports, err := freeport.Find(4)
	if err != nil {
		return nil, err
	}
	cert, key, err := leafPEM(w, zone)
	if err != nil {
		return nil, err
	}
	const endpoint = "piko"
	certFile, keyFile := w.path("piko.crt"), w.path("piko.key")
	server := fmt.Sprintf(`proxy: {bind_addr: "127.0.0.1:%s", access_log: {disable: true}}
upstream: {bind_addr: "127.0.0.1:%s", tls: {cert: %q, key: %q}}
admin: {bind_addr: "127.0.0.1:%s"}
cluster: {gossip: {bind_addr: "127.0.0.1:%s"}}
log: {level: warn}
`, ports[0], ports[1], certFile, keyFile, ports[2], ports[3])
	// From a file its agent would take noughts where it has other defaults.
	agent := []string{bin[0], "agent", "http", endpoint, portal, "--connect.url", "https://" + zone + ":" + ports[1],
		"--connect.tls.root-cas", w.ca.File(), "--access-log.disable", "--log.level", "warn"}
	if err := errors.Join(os.WriteFile(certFile, cert, 0o600), os.WriteFile(keyFile, key, 0o600)); err != nil {
		return nil, err
	}
	file, err := w.secret("piko.yaml", server)
	if err != nil {
		return nil, err
	}
	c, far, err := w.pair(ctx, "piko", []string{bin[0], "server", "--config.path", file}, ports[1], agent)
	return []*webServer{{child: c, far: far, host: endpoint + "." + zone, portPlain: ports[0]}}, err
}

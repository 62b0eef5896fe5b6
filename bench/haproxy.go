package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"text/template"

	"trunkline/internal/freeport"
)

// haproxyConf is nginx's task for haproxy: one thread, a TLS upstream,
// connections kept on both sides, no log, its own defaults otherwise.
var haproxyConf = template.Must(template.New("haproxy.cfg").Parse(`
global
	nbthread 1
	maxconn 1024
	ssl-server-verify none
defaults
	mode http
	http-reuse always
	timeout connect 10s
	timeout client 120s
	timeout server 120s
frontend site
	bind {{.Plain}}
	bind {{.TLS}} ssl crt {{.Dir}}/haproxy.pem alpn h2,http/1.1
	default_backend portal
backend portal
	server portal {{.Upstream}} ssl ssl-min-ver TLSv1.3 pool-max-conn 128
`))

func startHAProxy(ctx context.Context, w *world, upstream string) (*webServer, error) {
	program, err := lookup("haproxy")
	if err != nil {
		return nil, err
	}
	ports, err := freeport.Find(2)
	if err != nil {
		return nil, err
	}
	s := &webServer{host: "haproxy." + zone, portPlain: ports[0], portTLS: ports[1]}
	cert, key, err := leafPEM(w, s.host)
	if err != nil {
		return nil, err
	}
	var conf strings.Builder
	if err := haproxyConf.Execute(&conf, struct{ Dir, Upstream, Plain, TLS string }{
		w.fam.dir, upstream, loopback(s.portPlain), loopback(s.portTLS),
	}); err != nil {
		return nil, err
	}
	file := w.path("haproxy.cfg")
	if err := errors.Join(
		os.WriteFile(w.path("haproxy.pem"), append(cert, key...), 0o600),
		os.WriteFile(file, []byte(conf.String()), 0o600),
	); err != nil {
		return nil, err
	}
	if s.child, err = w.fam.start("haproxy", []string{program, "-db", "-f", file}, nil, nil); err != nil {
		return nil, err
	}
	return s, s.awaitPort(ctx, s.portPlain)
}

func haproxyVersion(ctx context.Context) string {
	program, err := lookup("haproxy")
	if err != nil {
		return ""
	}
	out, err := exec.CommandContext(ctx, program, "-v").Output()
	if _, v, ok := strings.Cut(string(out), "version "); err == nil && ok {
		return "haproxy " + word(v)
	}
	return "haproxy"
}

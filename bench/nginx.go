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

// nginxConf is nginx as the design compares with it: a reverse proxy to a TLS
// upstream, with no tunnel. One process; connections are kept on both sides; no
// disk, no access log; its own defaults otherwise.
var nginxConf = template.Must(template.New("nginx.conf").Parse(`
daemon off;
master_process off;
pid {{.Dir}}/nginx.pid;
error_log {{.Dir}}/nginx-error.log warn;
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path {{.Dir}}/body;
	proxy_temp_path {{.Dir}}/proxy;
	fastcgi_temp_path {{.Dir}}/fastcgi;
	uwsgi_temp_path {{.Dir}}/uwsgi;
	scgi_temp_path {{.Dir}}/scgi;
	keepalive_requests 1000000000;
	client_max_body_size 0;
	upstream portal {
		server {{.Upstream}};
		keepalive 128;
		keepalive_requests 1000000000;
	}
	server {
		listen {{.Plain}};
		listen {{.TLS}} ssl http2;
		ssl_certificate {{.Dir}}/nginx.crt;
		ssl_certificate_key {{.Dir}}/nginx.key;
		ssl_protocols TLSv1.2 TLSv1.3;
		location / {
			proxy_pass https://portal;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $http_host;
			proxy_ssl_protocols TLSv1.3;
			proxy_request_buffering off;
			proxy_max_temp_file_size 0;
		}
		location /ws {
			proxy_pass https://portal;
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection upgrade;
			proxy_set_header Host $http_host;
			proxy_ssl_protocols TLSv1.3;
		}
	}
}
`))

func startNginx(ctx context.Context, w *world, upstream string) (*webServer, error) {
	program, err := lookup("nginx")
	if err != nil {
		return nil, err
	}
	ports, err := freeport.Find(2)
	if err != nil {
		return nil, err
	}
	n := &webServer{host: "nginx." + zone, portPlain: ports[0], portTLS: ports[1]}
	cert, key, err := leafPEM(w, n.host)
	if err != nil {
		return nil, err
	}
	var conf strings.Builder
	if err := nginxConf.Execute(&conf, struct{ Dir, Upstream, Plain, TLS string }{
		w.fam.dir, upstream, loopback(n.portPlain), loopback(n.portTLS),
	}); err != nil {
		return nil, err
	}
	file := w.path("nginx.conf")
	if err := errors.Join(
		os.WriteFile(w.path("nginx.crt"), cert, 0o600),
		os.WriteFile(w.path("nginx.key"), key, 0o600),
		os.WriteFile(file, []byte(conf.String()), 0o600),
	); err != nil {
		return nil, err
	}
	argv := []string{program, "-p", w.fam.dir, "-e", w.path("nginx-error.log"), "-c", file}
	if n.child, err = w.fam.start("nginx", argv, nil, nil); err != nil {
		return nil, err
	}
	return n, n.awaitPort(ctx, n.portPlain)
}

func nginxVersion(ctx context.Context) string {
	program, err := lookup("nginx")
	if err != nil {
		return "nginx"
	}
	out, err := exec.CommandContext(ctx, program, "-v").CombinedOutput()
	if _, v, ok := strings.Cut(string(out), "nginx/"); err == nil && ok {
		return "nginx " + word(v)
	}
	return "nginx"
}

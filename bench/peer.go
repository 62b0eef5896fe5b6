package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// peer is another reverse tunnel: a server that stands where the relay does, and
// a client that stands where the agent does. All of them cipher the tunnel.
type peer struct {
	vias     []string // what it is called in the report, by way of proxying
	programs []string // the server's first, whose version is told
	start    func(ctx context.Context, w *world, bin []string, portal string) ([]*webServer, error)
}

// peers are alike in what they get: the same portal, one tunnel, defaults but
// for addresses, secrets, and logs that tell of no request.
var peers = []peer{
	{[]string{"frp", "frp-tcp"}, []string{"frps", "frpc"}, startFRP},
	{[]string{"piko"}, []string{"piko"}, startPiko},
	{[]string{"chisel-tcp"}, []string{"chisel"}, startChisel},
	{[]string{"rathole-tcp"}, []string{"rathole"}, startRathole},
}

// startPeers starts those whose programs are there. Browsers reach them over
// plain HTTP/1.1 only: who ends TLS differs between them.
func startPeers(ctx context.Context, w *world, r *report, portal string) ([]proxy, error) {
	var out []proxy
	for _, p := range peers {
		bin, err := w.o.find(p.programs)
		if err != nil {
			r.missing(strings.Join(p.vias, ", "), err)
			continue
		}
		servers, err := p.start(ctx, w, bin, portal)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.programs[0], err)
		}
		for i, s := range servers {
			if err := s.awaitPage(ctx, w); err != nil {
				return nil, err
			}
			out = append(out, s.proxy(p.vias[i], edgeHTTPS, needH2))
		}
		r.beside = append(r.beside, p.programs[0]+" "+peerVersion(ctx, bin[0]))
	}
	return out, nil
}

// find is where the programs are: where a flag says, or on PATH.
func (o options) find(programs []string) ([]string, error) {
	var out []string
	for _, name := range programs {
		at := o.peers[name]
		if at == nil || *at == "" {
			at = &name
		}
		path, err := exec.LookPath(*at)
		if err != nil {
			return nil, fmt.Errorf("no %s on PATH, and no --%s", name, name)
		}
		out = append(out, path)
	}
	return out, nil
}

// peerPrograms are all that peers need.
func peerPrograms() []string {
	var out []string
	for _, p := range peers {
		out = append(out, p.programs...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// pair starts a peer's server and, when it accepts on a port, its client.
func (w *world) pair(ctx context.Context, name string, server []string, port string, client []string) (near, far *child, err error) {
	if near, err = w.fam.start(name+"-server", server, nil, nil); err != nil {
		return nil, nil, err
	}
	if err := near.awaitPort(ctx, port); err != nil {
		return nil, nil, err
	}
	far, err = w.fam.start(name+"-client", client, nil, nil)
	return near, far, err
}

// secret writes a file that only bench can read.
func (w *world) secret(name, text string) (file string, err error) {
	file = w.path(name)
	return file, os.WriteFile(file, []byte(text), 0o600)
}

// awaitPage waits until a page comes through the tunnel.
func (s *webServer) awaitPage(ctx context.Context, w *world) error {
	return s.await(ctx, startTime, func() error {
		if err := s.endpoint(edgeHTTP).Fetch(ctx, w.conf, "/1kb", 1<<10); err != nil {
			return errors.Join(err, s.far.alive())
		}
		return nil
	})
}

// peerVersion is the last word of a line that has digits in it, of what
// --version says.
func peerVersion(ctx context.Context, program string) string {
	out, err := exec.CommandContext(ctx, program, "--version").CombinedOutput()
	if err != nil {
		return "of unknown version"
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if strings.ContainsAny(line, "0123456789") {
			return word(fields[len(fields)-1])
		}
	}
	return "of unknown version"
}

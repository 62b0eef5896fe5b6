package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"time"

	"go.uber.org/zap"

	"trunkline/agent"
	"trunkline/bench/load"
	"trunkline/internal/controlapi"
	"trunkline/internal/id"
)

// What a figure may be measured on. Direct is the portal with nobody between:
// its CPU is what serving costs, its times are the least there can be.
const (
	viaRelay   = "relay"
	viaSecond  = "forwarded" // through a second relay, which has no tunnel
	viaNginx   = "nginx"
	viaHAProxy = "haproxy"
	viaDirect  = "direct"
)

// proxy is a process that is measured while it is loaded.
type proxy struct {
	via string
	*child
	behind *child   // what else a request passes; its CPU counts too
	lacks  []string // of what figures need
	// endpoint is asked for before every measurement: a visit's cookie ages,
	// and the relay would seal every request's anew.
	endpoint func(ctx context.Context, edge string) (load.Endpoint, error)
}

// cpu is what the process used during load.
func (p proxy) cpu(load func() error) (time.Duration, error) {
	if err := p.forget(); err != nil {
		return 0, err
	}
	before, err := p.used()
	if err != nil {
		return 0, err
	}
	if err := load(); err != nil {
		if dead := p.alive(); dead != nil {
			return 0, dead
		}
		return 0, err
	}
	after, err := p.used()
	if err != nil {
		return 0, err
	}
	return after - before, nil
}

// used is what the proxy's processes have used until now.
func (p proxy) used() (time.Duration, error) {
	d, err := cpuTime(p.cmd.Process.Pid)
	if err != nil || p.behind == nil {
		return d, err
	}
	more, err := cpuTime(p.behind.cmd.Process.Pid)
	return d + more, err
}

// measureCPU takes every figure on all proxies, round by round, so that whatever
// else the machine does hits them alike.
func measureCPU(ctx context.Context, w *world, r *report) error {
	figures := r.selected(cpuFigures(w.o))
	if len(figures) == 0 {
		return nil
	}
	proxies, err := startProxies(ctx, w, r)
	if err != nil {
		return err
	}
	r.vias = nil
	for _, p := range proxies {
		r.vias = append(r.vias, p.via)
	}
	if !w.o.quick {
		for _, f := range figures { // connections, pools and caches fill here
			for _, p := range proxies {
				if !f.fits(p) {
					continue
				}
				if _, err := f.measure(ctx, w, p, true); err != nil {
					return fmt.Errorf("%s via %s, to warm up: %w", f.name, p.via, err)
				}
			}
		}
	}
	for round := range w.o.rounds {
		w.o.say("round %d of %d", round+1, w.o.rounds)
		before, err := w.fam.usage()
		if err != nil {
			return err
		}
		for _, f := range figures {
			for i := range proxies {
				p := proxies[(i+round)%len(proxies)] // none is always first
				if !f.fits(p) {
					continue
				}
				s, err := f.measure(ctx, w, p, false)
				if err != nil {
					return fmt.Errorf("%s via %s: %w", f.name, p.via, err)
				}
				f.add(p.via, s)
			}
		}
		after, err := w.fam.usage()
		if err != nil {
			return err
		}
		r.others = append(r.others, after.others(before))
	}
	if w.o.profile {
		return profileRelay(ctx, w, r, figures, proxies[0])
	}
	return nil
}

// startAgent activates a PBX as its staff would and runs the real agent.
func (w *world) startAgent(ctx context.Context, portal string) (id.Device, error) {
	dir := w.path("agent")
	i, err := agent.Activate(ctx, agent.Activation{
		Data: dir, Server: w.console(), CAFile: w.ca.File(), Email: w.email, Password: w.password,
		Serial: "BENCH-CPU", Model: model, Firmware: firmware, Portal: portal,
	}, zap.NewNop())
	if err != nil {
		return "", fmt.Errorf("activate: %w", err)
	}
	p, err := w.fam.start("agent", append(append([]string{}, w.o.agent...), "run", "--data", dir, "--admin", agent.AdminOff, "--page", agent.PageOff), nil, nil)
	if err != nil {
		return "", err
	}
	return i.Device, p.await(ctx, startTime, func() error {
		d, err := w.api.Device(ctx, i.Device)
		if err == nil && d.Status != controlapi.StatusConnected {
			err = fmt.Errorf("the device is %s", d.Status)
		}
		return err
	})
}

// endpoint is the relay's edge, with the cookie of a visit that has just begun.
func (w *world) endpoint(ctx context.Context, d id.Device, at door, edge string) (load.Endpoint, error) {
	v, _, err := w.visit(ctx, d)
	if err != nil {
		return load.Endpoint{}, err
	}
	v.CloseIdleConnections()
	origin, err := url.Parse(v.Origin)
	if err != nil {
		return load.Endpoint{}, err
	}
	e := load.Endpoint{Scheme: "https", Host: origin.Hostname(), Port: at.tls, Headers: map[string]string{"Host": origin.Host}}
	for _, c := range v.Jar.Cookies(origin) {
		e.Headers["Cookie"] = (&http.Cookie{Name: c.Name, Value: c.Value}).String()
	}
	if edge == edgeHTTP {
		// As a load balancer that terminated TLS sends it.
		e.Scheme, e.Port = "http", at.plain
		e.Headers["X-Forwarded-Proto"], e.Headers["X-Forwarded-For"] = "https", "192.0.2.1"
	}
	return e, nil
}

// version is what `trunkline version` prints: of the program that is measured,
// not of bench.
func (o options) version(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, o.trunkline[0], append(append([]string{}, o.trunkline[1:]...), "version")...).Output()
	if err != nil {
		return "unknown"
	}
	return word(string(out))
}

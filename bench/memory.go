package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"trunkline/internal/controlapi"
	"trunkline/internal/id"
	"trunkline/internal/visitor"
)

const (
	// trafficSize goes through every tunnel each way before it is idle again:
	// more than yamux's first window, so that buffers have grown as they will.
	trafficSize = 320 << 10
	steadyFor   = 5 // readings in a row that differ by less than a hundredth
	steadyTime  = time.Minute
)

func memoryFigures() []*figure {
	var out []*figure
	for _, f := range []figure{
		{name: "IdleTunnel/state=fresh", title: "RSS per idle tunnel, fresh"},
		{name: "IdleTunnel/state=used", title: "RSS per idle tunnel, after traffic"},
	} {
		f.unit, f.goal = "rss-B/tunnel", 10<<10
		f.show = func(v float64) string { return fmt.Sprintf("%.1f KiB", v/1024) }
		out = append(out, &f)
	}
	return out
}

// measureMemory is about a relay of its own: what a relay once needed for
// requests is not the tunnels'. Its two figures are steps of one story, so
// either brings the other.
func measureMemory(ctx context.Context, w *world, r *report) error {
	figures := memoryFigures()
	if len(r.chosen(figures)) == 0 {
		return nil
	}
	r.figures = append(r.figures, figures...)
	relay, err := w.startRelay(ctx, relayNames[0])
	if err != nil {
		return err
	}
	defer relay.stop() // the next one takes its ports
	devices, order, err := w.activate(ctx)
	if err != nil {
		return err
	}
	empty, err := w.resident(ctx, relay)
	if err != nil {
		return err
	}
	var ready tunnelsReady
	holder, err := w.fam.rexec(ctx, w.o, "tunnels", order, &ready)
	if err != nil {
		return err
	}
	defer holder.stop()
	step := func(f *figure) error {
		full, err := w.resident(ctx, relay)
		if err := errors.Join(err, holder.alive()); err != nil {
			return err
		}
		n := float64(ready.Tunnels)
		f.add(viaRelay, sample{int64(ready.Tunnels), float64(full.settled-empty.settled) / n, map[string]float64{
			"rss-before-gc-B/tunnel": float64(full.asItWas-empty.settled) / n,
		}})
		return nil
	}
	w.o.say("%d tunnels are up", ready.Tunnels)
	if err := step(figures[0]); err != nil {
		return err
	}
	if err := w.useTunnels(ctx, devices); err != nil {
		return err
	}
	w.o.say("each has carried %d KiB each way", trafficSize>>10)
	return step(figures[1])
}

// activate makes PBXs known, over the API as agents do.
func (w *world) activate(ctx context.Context) ([]id.Device, tunnelsOrder, error) {
	ca, err := os.ReadFile(w.ca.File())
	if err != nil {
		return nil, tunnelsOrder{}, err
	}
	w.o.say("activating %d PBXs", w.o.tunnels)
	devices := make([]id.Device, w.o.tunnels)
	order := tunnelsOrder{Relay: loopback(w.portTLS), Name: zone, CA: ca, Devices: make([]tunnelDevice, w.o.tunnels)}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i := range w.o.tunnels {
		g.Go(func() error {
			pub, priv, err := ed25519.GenerateKey(nil)
			if err != nil {
				return err
			}
			sn := id.Serial(fmt.Sprintf("BENCH-%06d", i))
			grant, err := w.api.Activate(ctx, controlapi.ActivationRequest{
				Serial: sn, Model: model, Firmware: firmware, PublicKey: pub, Proof: controlapi.ActivationProof(priv, sn),
				Email: w.email, Password: w.password,
			})
			if err != nil {
				return fmt.Errorf("activate: %w", err)
			}
			devices[i], order.Devices[i] = grant.Device, tunnelDevice{Seed: priv.Seed(), Pass: grant.Pass}
			return nil
		})
	}
	return devices, order, g.Wait()
}

// reading is a process's resident memory: as it was, and after the collector
// has run and the pages it gave back are gone.
type reading struct{ asItWas, settled int64 }

// resident waits until the tunnels are idle and every one was pinged, and reads.
// Without the forced collection the figure would depend on when in the
// collector's cycle it is taken.
func (w *world) resident(ctx context.Context, relay *child) (m reading, err error) {
	if err := pause(ctx, w.o.settle); err != nil {
		return m, err
	}
	pid := relay.cmd.Process.Pid
	if m.asItWas, err = rss(pid); err != nil {
		return m, err
	}
	for range 3 { // pools take two collections to let go
		if err := adminGet(ctx, w.adminRelay, "/debug/pprof/heap?gc=1"); err != nil {
			return m, fmt.Errorf("force a collection: %w", err)
		}
	}
	deadline := time.Now().Add(steadyTime)
	for low, steady := int64(0), 0; steady < steadyFor && time.Now().Before(deadline); {
		if err := pause(ctx, w.o.settle/35); err != nil {
			return m, err
		}
		if m.settled, err = rss(pid); err != nil {
			return m, err
		}
		steady++
		if m.settled < low-low/100 || m.settled > low+low/100 {
			low, steady = m.settled, 0
		}
	}
	return m, nil
}

// useTunnels visits every device as a browser does, and carries bytes each way.
func (w *world) useTunnels(ctx context.Context, devices []id.Device) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for _, d := range devices {
		g.Go(func() error {
			v, visit, err := w.visit(ctx, d)
			if err != nil {
				return err
			}
			defer v.CloseIdleConnections()
			if err := errors.Join(useTunnel(ctx, v), w.api.EndVisit(ctx, visit)); err != nil {
				return fmt.Errorf("visit: %w", err)
			}
			return nil
		})
	}
	return g.Wait()
}

var trafficBody = sync.OnceValue(func() string { return strings.Repeat("0123456789abcdef", trafficSize/16) })

func useTunnel(ctx context.Context, v *visitor.Visitor) error {
	got, err := v.Fetch(ctx, "/bytes?n="+strconv.Itoa(trafficSize))
	if err != nil || len(got) != trafficSize {
		return errors.Join(err, fmt.Errorf("%d of %d bytes came", len(got), trafficSize))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.Origin+"/upload", strings.NewReader(trafficBody()))
	if err != nil {
		return err
	}
	req.Header.Set("Origin", v.Origin)
	resp, err := v.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil || string(b) != strconv.Itoa(trafficSize) {
		return errors.Join(err, fmt.Errorf("upload: %s, %q", resp.Status, b))
	}
	return nil
}

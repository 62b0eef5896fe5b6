package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sync/errgroup"

	"trunkline/internal/controlapi"
	"trunkline/internal/id"
)

// fleet is PBXs that control knows.
type fleet struct {
	devices []id.Device
	keys    []tunnelDevice // of the same
}

func (f fleet) size() int         { return len(f.devices) }
func (f fleet) first(n int) fleet { return fleet{f.devices[:n], f.keys[:n]} }

// activate makes n PBXs known, over the API: added in the console and bound by
// a code, for checking a password takes control long.
func (w *world) activate(ctx context.Context, n int) (fleet, error) {
	w.o.say("activating %d PBXs", n)
	f := fleet{make([]id.Device, n), make([]tunnelDevice, n)}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i := range n {
		g.Go(func() error {
			pub, priv, err := ed25519.GenerateKey(nil)
			if err != nil {
				return err
			}
			sn := id.Serial(fmt.Sprintf("BENCH-%06d", i))
			added, err := w.api.AddDevice(ctx, controlapi.NewDevice{Name: string(sn)})
			if err != nil {
				return fmt.Errorf("add device: %w", err)
			}
			grant, err := w.api.Activate(ctx, controlapi.ActivationRequest{
				Serial: sn, Model: model, Firmware: firmware, PublicKey: pub, Proof: controlapi.ActivationProof(priv, sn), Code: added.Code,
			})
			if err != nil {
				return fmt.Errorf("activate: %w", err)
			}
			f.devices[i], f.keys[i] = grant.Device, tunnelDevice{Seed: priv.Seed(), Pass: grant.Pass}
			return nil
		})
	}
	return f, g.Wait()
}

// holderSize bounds the tunnels of one process.
const holderSize = 2500

// holders are processes that hold tunnels.
type holders []*child

// hold opens a tunnel for every PBX.
func (w *world) hold(ctx context.Context, f fleet) (h holders, err error) {
	ca, err := os.ReadFile(w.ca.File())
	if err != nil {
		return nil, err
	}
	for from := 0; from < f.size(); from += holderSize {
		order := tunnelsOrder{Relay: loopback(w.first.tls), Name: zone, CA: ca, Devices: f.keys[from:min(from+holderSize, f.size())]}
		var ready tunnelsReady
		c, err := w.fam.rexec(ctx, w.o, "tunnels", order, &ready)
		if err == nil && ready.Tunnels != len(order.Devices) {
			err = fmt.Errorf("%d of %d tunnels are up", ready.Tunnels, len(order.Devices))
		}
		if err != nil {
			h.stop()
			return nil, err
		}
		h = append(h, c)
	}
	return h, nil
}

func (h holders) stop() {
	for _, c := range h {
		c.stop()
	}
}

func (h holders) alive() error {
	var err error
	for _, c := range h {
		err = errors.Join(err, c.alive())
	}
	return err
}

// mayOpen raises the limit of open files, for this process and its children,
// if that is needed and allowed.
func mayOpen(files int) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	if l.Cur >= uint64(files) {
		return nil
	}
	l.Cur, l.Max = uint64(files), max(l.Max, uint64(files))
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("%d open files are not allowed: %w", files, err)
	}
	return nil
}

package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"trunkline/internal/proxyproto"
)

// Alive errs if the relay hangs: if what its parts lock is not free, or if the
// public port neither lets us in nor takes anybody else's connection before
// ctx ends. That it turns us away, as it may in a storm, is a sign of life.
func (r *Relay) Alive(ctx context.Context) error {
	free := make(chan struct{})
	go func() { // one more for each check that hangs, until the process is ended for it
		defer close(free)
		r.uplink.Count()
		r.table.Len()
		r.edge.Count()
	}()
	select {
	case <-free:
	case <-ctx.Done():
		return errors.New("locks are not free")
	}
	taken := r.public.taken.Load()
	err := r.knock(ctx)
	var timeout net.Error
	if late := ctx.Err() != nil || errors.As(err, &timeout) && timeout.Timeout(); late && r.public.taken.Load() == taken {
		return fmt.Errorf("the public port does not answer: %w", err)
	}
	return nil
}

// knock shakes hands with the public port, as a browser does.
func (r *Relay) knock(ctx context.Context) error {
	at := r.ln.Addr().(*net.TCPAddr).AddrPort()
	if at.Addr().IsUnspecified() {
		at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port())
	}
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", at.String())
	if err != nil {
		return err
	}
	defer raw.Close()
	us := raw.LocalAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	if slices.ContainsFunc(r.ln.Trusted(), func(p netip.Prefix) bool { return p.Contains(us) }) {
		if _, err := raw.Write(proxyproto.Local()); err != nil {
			return err
		}
	}
	//nolint:gosec // we talk to ourselves; whether the certificate is good is a browser's business
	return tls.Client(raw, &tls.Config{ServerName: r.o.Zone, InsecureSkipVerify: true}).HandshakeContext(ctx)
}

package fleet

import (
	"context"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/peercert"
)

// issuer is the newest authority that the relays have had time to learn; if
// there is none, the newest.
func (k keyring) issuer(now time.Time) (peercert.Authority, bool) {
	var best, newest peercert.Authority
	for _, a := range k.peer {
		if a.NotBefore.After(newest.NotBefore) {
			newest = a
		}
		known := !now.Before(a.NotBefore.Add(keyAhead))
		if known && !a.NotAfter.Before(now.Add(peercert.Life)) && a.NotBefore.After(best.NotBefore) {
			best = a
		}
	}
	if best.ID == "" {
		best = newest
	}
	return best, best.ID != ""
}

// PeerCertificate answers a relay's request with the certificate, in DER, that
// other relays know it by. The bus vouches for who asks.
func (f *Fleet) PeerCertificate(ctx context.Context, r id.Relay, request []byte) ([]byte, error) {
	if f.keys.Load() == nil {
		if err := f.rotateKeys(ctx); err != nil {
			return nil, err
		}
	}
	now := f.clock()
	a, ok := f.keys.Load().issuer(now)
	if !ok {
		return nil, fault.New(fault.Unavailable, "There is no authority for relays' certificates at the moment. Try again shortly.").After(keysEvery)
	}
	der, err := a.Issue(r, request, now)
	if err != nil {
		f.log.Warn("peer certificate refused", zap.String("relay", string(r)), zap.Error(err))
		return nil, err
	}
	f.log.Info("peer certificate issued", zap.String("relay", string(r)), zap.String("authority", a.ID), zap.Time("until", now.Add(peercert.Life)))
	return der, nil
}

package certfile

import (
	"crypto/x509"
	"fmt"
	"strings"
	"time"
)

// refuse says why next must not take the place of the certificate in force, nil if it
// may, and when that may be otherwise with the same files: zero, if never. A renewal
// that nobody can use is worse than none.
func refuse(inForce, next *x509.Certificate, names []string, now time.Time) (again time.Time, err error) {
	switch {
	case now.After(next.NotAfter):
		return again, fmt.Errorf("expired at %s: renew it", next.NotAfter.Format(time.RFC3339))
	case now.Before(next.NotBefore):
		return next.NotBefore, fmt.Errorf("not valid before %s, and used from then on: look at this machine's clock, or wait", next.NotBefore.Format(time.RFC3339))
	case now.After(inForce.NotAfter):
		return again, nil // which covers nothing any more
	}
	var lost []string
	for _, n := range lacks(next, names) {
		if covers(inForce, n) {
			lost = append(lost, n)
		}
	}
	if len(lost) > 0 {
		return inForce.NotAfter, fmt.Errorf("not for %s, which the one before is for: have it issued for these too, or restart if it is meant to be so",
			strings.Join(lost, ", "))
	}
	return again, nil
}

// lacks are those of names that c is not for.
func lacks(c *x509.Certificate, names []string) (out []string) {
	for _, n := range names {
		if !covers(c, n) {
			out = append(out, n)
		}
	}
	return out
}

// covers reports whether clients that come for name take c: a host name, an address,
// or *.zone for any name right below the zone.
func covers(c *x509.Certificate, name string) bool {
	if zone, ok := strings.CutPrefix(name, "*"); ok {
		name = "any" + zone
	}
	return c.VerifyHostname(name) == nil
}

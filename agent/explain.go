package agent

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"
)

// explain adds to an error of certificate verification what the person at the
// PBX can do about it: often it is the PBX's clock that is wrong.
func explain(err error, now time.Time) error {
	var invalid x509.CertificateInvalidError
	var op *net.OpError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		c := invalid.Cert
		what := "has expired"
		if now.Before(c.NotBefore) {
			what = "is not valid yet"
		}
		return fmt.Errorf("the server's certificate %s: it is good from %s to %s, and this machine's clock says %s; "+
			"set the clock if it is wrong: %w", what, stamp(c.NotBefore), stamp(c.NotAfter), stamp(now), err)
	case unknownAuthority(err):
		return fmt.Errorf("the server's certificate is not signed by an authority that this machine trusts; "+
			"give the provider's CA file (Advanced on the page, `connect --ca FILE`, or ca_file): %w", err)
	case errors.As(err, &op) && op.Op == tlsRemote:
		return fmt.Errorf("what answers there refuses the TLS handshake, as something other than Trunkline would: %w", err)
	}
	return err
}

func unknownAuthority(err error) bool {
	var unknown x509.UnknownAuthorityError
	return errors.As(err, &unknown)
}

// tlsRemote is net.OpError's Op where crypto/tls got an alert from the other
// side. The alert's own type is not exported.
const tlsRemote = "remote error"

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// isCertificate reports that asking again is no use: the server was reached
// and not believed.
func isCertificate(err error) bool {
	var cert *tls.CertificateVerificationError
	return errors.As(err, &cert)
}

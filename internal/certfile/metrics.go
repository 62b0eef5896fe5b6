package certfile

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/prometheus/client_golang/prometheus"
)

// Failures is a plane's counter for Options.
func Failures(plane string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{
		Name: "trunkline_" + plane + "_certificate_reload_failures_total",
		Help: "Changes of the certificate's files that could not be used; the certificate before goes on.",
	})
}

// Expiry is a plane's gauge of when what cert gives to clients of name expires,
// in seconds since 1970; 0 if it gives nothing, which a handshake would fail
// for too.
func Expiry(plane string, cert func(*tls.ClientHelloInfo) (*tls.Certificate, error), name string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "trunkline_" + plane + "_certificate_expiry_timestamp_seconds",
		Help: "When the certificate of the public port expires, in seconds since 1970.",
	}, func() float64 {
		c, err := cert(&tls.ClientHelloInfo{ServerName: name})
		if err != nil || c == nil {
			return 0
		}
		leaf, err := x509.ParseCertificate(c.Certificate[0])
		if err != nil {
			return 0
		}
		return float64(leaf.NotAfter.Unix())
	})
}

package tunnel

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"fmt"

	"trunkline/internal/fault"
)

const (
	proofContext  = "trunkline hello 1\x00"
	exporterLabel = "EXPORTER-Channel-Binding" // RFC 9266, section 4.2
	exporterLen   = 32
)

// Proof shows, on one TLS connection only, that its maker has the key that
// pass is bound to: a signature over
//
//	"trunkline hello 1" 0x00 || exporter || SHA-256(pass)
//
// where exporter is tls-exporter of RFC 9266, 32 bytes.
func Proof(key ed25519.PrivateKey, exporter []byte, pass string) []byte {
	return ed25519.Sign(key, proofMessage(exporter, pass))
}

// VerifyProof is false for a proof made on another connection, for another
// pass or by another key.
func VerifyProof(key ed25519.PublicKey, exporter []byte, pass string, proof []byte) bool {
	return len(key) == ed25519.PublicKeySize && len(exporter) == exporterLen &&
		ed25519.Verify(key, proofMessage(exporter, pass), proof)
}

func proofMessage(exporter []byte, pass string) []byte {
	sum := sha256.Sum256([]byte(pass))
	m := make([]byte, 0, len(proofContext)+len(exporter)+len(sum))
	m = append(m, proofContext...)
	m = append(m, exporter...)
	return append(m, sum[:]...)
}

// exporter checks that the connection is what a tunnel needs and returns its
// channel binding. Below TLS 1.3 the binding would not be unique (RFC 9266,
// section 4.2), which is why there is no older way in.
func exporter(s tls.ConnectionState) ([]byte, error) {
	if s.Version != tls.VersionTLS13 {
		return nil, fault.New(fault.Protocol, "A tunnel needs TLS 1.3; this connection has %s.", tls.VersionName(s.Version))
	}
	if s.NegotiatedProtocol != ALPN {
		return nil, fault.New(fault.Protocol, "A tunnel needs the TLS application protocol (ALPN) %q.", ALPN)
	}
	b, err := s.ExportKeyingMaterial(exporterLabel, nil, exporterLen)
	if err != nil {
		return nil, fmt.Errorf("tls exporter: %w", err)
	}
	return b, nil
}

package license

import (
	"crypto/ed25519"
	"encoding/base64"
)

// SignForTest signs any line, so that a fuzzer gets past the signature.
func SignForTest(priv ed25519.PrivateKey, line []byte) []byte {
	sig := ed25519.Sign(priv, append([]byte(signPrefix), line...))
	out := append(append([]byte(nil), line...), '\n')
	return base64.StdEncoding.AppendEncode(out, sig)
}

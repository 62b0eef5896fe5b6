package target

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"os"

	"trunkline/control/license"
)

// License writes one for so many sites to the file at path, for a test alone,
// and returns the key that verifies it.
func License(path string, sites int) (key string, err error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	b, err := license.Issue(priv, license.License{Holder: "load test", Plan: "load test", Connections: sites})
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(pub), os.WriteFile(path, b, 0o600)
}

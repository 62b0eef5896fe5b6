package cmd_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"trunkline/control/license"
)

// licenceFor is control's settings with a licence for n connections.
func licenceFor(t *testing.T, n int) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Second)
	b, err := license.Issue(private, license.License{
		Holder: "Acme", Plan: "standard", Connections: n, NotBefore: now.Add(-time.Hour), Expires: now.AddDate(1, 0, 0),
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "licence")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("license_file: %q, license_key: %q, ", file, base64.StdEncoding.EncodeToString(public))
}

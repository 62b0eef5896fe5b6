package load_test

import (
	"crypto/tls"
	"testing"
)

// A transfer is held to what it was to carry.
func TestTransfers(t *testing.T) {
	e := portalEndpoint(t)
	for path, n := range map[string]int64{"/1kb": 1 << 10, "/64kb": 64 << 10, "/bytes?n=0": 0, "/bytes?n=1000001": 1000001} {
		if err := e.Fetch(t.Context(), &tls.Config{}, path, n); err != nil {
			t.Error(err)
		}
	}
	for _, way := range []string{"up", "down"} {
		if err := e.Move(t.Context(), e.Client(&tls.Config{}), way, 700001); err != nil {
			t.Error(err)
		}
	}
	for path, n := range map[string]int64{"/else": 0, "/1kb": 7} {
		if err := e.Fetch(t.Context(), &tls.Config{}, path, n); err == nil {
			t.Errorf("%s passes for a success of %d bytes", path, n)
		}
	}
}

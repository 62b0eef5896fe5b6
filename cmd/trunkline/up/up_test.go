package up_test

import (
	"path/filepath"
	"testing"

	"go.uber.org/zap/zaptest"

	"trunkline/cmd/trunkline/up"
)

// On the default port browsers name none, neither in links nor in Origin: a
// console that is called otherwise could open no visit.
func TestConsoleOnTheDefaultPort(t *testing.T) {
	for port, want := range map[int]string{443: "https://console.localhost", 8443: "https://console.localhost:8443"} {
		cfg := up.Default()
		cfg.Data, cfg.Listen = filepath.Join(t.TempDir(), "data"), "127.0.0.1:0"
		cfg.Control.Admin, cfg.Relay.Admin, cfg.Relay.Port = "", "", port
		u, err := up.New(t.Context(), cfg, zaptest.NewLogger(t))
		if err != nil {
			t.Fatal(err)
		}
		if got := u.ConsoleURL(); got != want {
			t.Errorf("port %d: console at %s, want %s", port, got, want)
		}
		if err := u.Relay.Close(); err != nil {
			t.Error(err)
		}
		if err := u.Control.Close(); err != nil {
			t.Error(err)
		}
	}
}

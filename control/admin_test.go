package control_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"

	"trunkline/control"
	"trunkline/internal/bus"
)

var browser = netip.MustParseAddr("192.0.2.7")

func newControl(t *testing.T, data string) (*control.Control, error) {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{}, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	cfg := control.Default()
	cfg.Data, cfg.Listen = data, ""
	return control.New(t.Context(), control.Options{
		Config: cfg, Bus: b, Log: zaptest.NewLogger(t), Registerer: prometheus.NewRegistry(),
	})
}

func TestFirstPasswordIsTheOwnersAlone(t *testing.T) {
	data := t.TempDir()
	c, err := newControl(t, data)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	info, err := os.Stat(filepath.Join(data, control.PasswordFile))
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() < 20 {
		t.Errorf("%v, %v", info, err)
	}
	if left, _ := filepath.Glob(filepath.Join(data, control.PasswordFile+".*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Whoever writes the file by hand ends it with a new line, which nobody types
// into a form.
func TestPasswordFromAnEditor(t *testing.T) {
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, control.PasswordFile), []byte("correct horse battery\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := newControl(t, data)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Fleet().SignIn(t.Context(), control.Default().FirstAdmin, "correct horse battery", browser); err != nil {
		t.Error(err)
	}
}

package relay_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"

	"trunkline/internal/bus"
	"trunkline/internal/selfca"
	"trunkline/relay"
)

// alone is a relay on a bus of its own, running.
type alone struct {
	*relay.Relay
	bus   *bus.Bus
	ended chan error
	stop  context.CancelFunc
}

func startAlone(t *testing.T) *alone {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{}, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := selfca.Open(filepath.Join(t.TempDir(), "tls"), "localhost")
	if err != nil {
		t.Fatal(err)
	}
	cfg := relay.Default()
	cfg.Listen, cfg.Drain = "127.0.0.1:0", relay.Drain{Deadline: time.Second}
	r, err := relay.New(relay.Options{
		Config: cfg, Bus: b, Certificate: ca.Certificate, Log: zaptest.NewLogger(t), Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	a := &alone{Relay: r, bus: b, ended: make(chan error, 1)}
	var ctx context.Context
	ctx, a.stop = context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); a.ended <- r.Run(ctx) }()
	t.Cleanup(func() { a.stop(); <-done; b.Close() })
	return a
}

// A part that fails ends the relay, and whoever supervises it is told.
func TestRunSaysThatAPartFailed(t *testing.T) {
	r := startAlone(t)
	if err := r.bus.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-r.ended:
		if err == nil {
			t.Error("the relay ended by itself, and Run calls that a success")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the relay goes on without what it cannot do without")
	}
}

func TestRunStopsWithoutAnError(t *testing.T) {
	r := startAlone(t)
	r.stop()
	select {
	case err := <-r.ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the relay does not stop")
	}
}

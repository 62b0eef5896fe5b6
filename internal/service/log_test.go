package service_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/service"
)

func fileLogger(t *testing.T) (log *zap.Logger, lines func() int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	log, err := service.FileLogger("info", path)
	if err != nil {
		t.Fatal(err)
	}
	return log, func() int {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(b), "\n")
	}
}

// What is merely of interest waits for company, but not for long.
func TestLogLinesComeByThemselves(t *testing.T) {
	log, lines := fileLogger(t)
	log.With(zap.Int("n", 1)).Info("request")
	log.Info("request")
	for end := time.Now().Add(30 * time.Second); lines() != 2; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d lines after ten seconds", lines())
		}
	}
}

// A warning is there at once, behind what came before it.
func TestWarningsDoNotWait(t *testing.T) {
	log, lines := fileLogger(t)
	log.Info("request")
	log.With(zap.Int("n", 1)).Warn("trouble")
	if n := lines(); n != 2 {
		t.Errorf("%d lines", n)
	}
}

func TestSyncLeavesNothing(t *testing.T) {
	log, lines := fileLogger(t)
	for range 1000 {
		log.Info("request", zap.String("filler", strings.Repeat("x", 200)))
	}
	if err := log.Sync(); err != nil {
		t.Fatal(err)
	}
	if n := lines(); n != 1000 {
		t.Errorf("%d lines", n)
	}
}

func TestDebugIsNotLogged(t *testing.T) {
	log, lines := fileLogger(t)
	log.Debug("detail")
	if err := log.Sync(); err != nil || lines() != 0 {
		t.Errorf("%d lines, %v", lines(), err)
	}
}

package service_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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

// A log that takes nothing keeps nobody who has something to say, and in the
// end it tells what is missing.
func TestAStuckLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	log, err := service.FileLogger("info", path)
	if err != nil {
		t.Fatal(err)
	}
	const lines = 50_000 // 10 MB
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range lines {
			log.Info("request", zap.String("filler", strings.Repeat("x", 200)))
		}
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("who logs waits for the log's reader")
	}
	go func() { _ = log.Sync() }()
	came := 0
	for in := bufio.NewScanner(r); in.Scan(); {
		var line struct {
			Msg   string
			Lines int
		}
		if err := json.Unmarshal(in.Bytes(), &line); err != nil {
			t.Fatalf("%q: %v", in.Text(), err)
		}
		if line.Msg != "request" {
			if came+line.Lines != lines || line.Lines == 0 {
				t.Errorf("%d lines came and %q says that %d are lost, of %d", came, line.Msg, line.Lines, lines)
			}
			return
		}
		came++
	}
}

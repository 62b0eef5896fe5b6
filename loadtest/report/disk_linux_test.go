package report_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"trunkline/loadtest/report"
)

// On a full disk the report that is there stays, half a one is not left behind,
// and the error says what to do.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16k"); err != nil {
		t.Skipf("mount a small file system (as root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	file := filepath.Join(dir, "run.html")
	if err := os.WriteFile(file, []byte("the last one"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := report.WriteHTML(file, sampleRun{}.result())
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "make room, or name another file") {
		t.Errorf("error %v", err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "the last one" {
		t.Errorf("%q, %v", b, err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
}

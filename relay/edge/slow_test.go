package edge_test

import (
	"io"
	"testing"
	"time"

	"trunkline/relay/edge"
)

// A browser that takes nothing is given up and counted, and its stream at the
// agent reset.
func TestSlowRead(t *testing.T) {
	w := newWorld(t, endless(t, nil), func(o *edge.Options) { o.Limits.Progress = 200 * time.Millisecond })
	c := w.raw(site)
	_, _ = io.WriteString(c, visitor("GET /", ""))
	eventually(t, "the stream is reset", func() bool { return w.resets.Load() > 0 })
	eventually(t, "it is counted", func() bool { return w.counted("faults_total", "browser_gone") == 1 })
	if _, err := io.Copy(io.Discard, c); err == nil {
		t.Error("the download ended cleanly")
	}
}

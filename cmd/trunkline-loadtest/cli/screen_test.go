package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"trunkline/loadtest"
	"trunkline/loadtest/result"
)

// On a terminal the block is written over, whatever lines the terminal broke.
func TestScreen(t *testing.T) {
	const columns = 40
	var out bytes.Buffer
	s := &screen{w: &out, width: func() int { return columns }, before: make(map[string]int64)}
	var page result.Tally
	page.OK, page.Errors = 100, map[string]int64{"timeout": 2, "connection_refused": 30}
	page.Latency.Record(3 * time.Millisecond)
	live := loadtest.Live{
		Running: true, Elapsed: 5 * time.Second, Known: 10, Up: 9,
		Kinds: map[string]result.Tally{"page": page}, InFlight: map[string]int64{"page": 7},
	}
	s.show(live)
	first := out.String()
	for _, want := range []string{"9 tunnels up of 10", "page ", "p99 3", "7 in flight, 30 connection_refused, 2 timeout\n"} {
		if !strings.Contains(first, want) {
			t.Errorf("no %q in %q", want, first)
		}
	}
	rows := 0
	for line := range strings.Lines(first) {
		rows += (len(strings.TrimSuffix(line, "\n")) + columns - 1) / columns
	}
	if lines := strings.Count(first, "\n"); rows <= lines {
		t.Fatalf("no line of %d is broken: %q", lines, first)
	}
	out.Reset()
	s.show(live)
	if up := fmt.Sprintf("\x1b[%dA\r\x1b[J", rows); !strings.HasPrefix(out.String(), up) {
		t.Errorf("the next block begins with %.20q, not with %q", out.String(), up)
	}
}

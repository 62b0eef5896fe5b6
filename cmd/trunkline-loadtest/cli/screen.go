package cli

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"trunkline/loadtest"
	"trunkline/loadtest/result"
)

// screen shows how a run stands: a block that is written over each second on a
// terminal, and a line elsewhere.
type screen struct {
	w      io.Writer
	width  func() int // of the terminal, in columns; nil: it is none
	rows   int        // of the block that stands there
	before map[string]int64
	at     time.Time
	plain  time.Time // when the last line was written
}

// plainEvery is the time between two lines where nobody sees them come.
const plainEvery = 5 * time.Second

func newScreen(w io.Writer) *screen {
	s := &screen{w: w, before: make(map[string]int64)}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.width = func() int {
			columns, _, err := term.GetSize(int(f.Fd()))
			if err != nil || columns == 0 {
				return 80
			}
			return columns
		}
	}
	return s
}

// show is called each second.
func (s *screen) show(l loadtest.Live) {
	now := time.Now()
	var out []string
	if !l.Running {
		out = []string{fmt.Sprintf("coming up: %d of %d PBXs activated, %d tunnels up", l.Known, l.Devices, l.Up)}
	} else {
		out = s.running(l, now)
	}
	if s.width == nil {
		if now.Sub(s.plain) >= plainEvery {
			s.plain = now
			fmt.Fprintln(s.w, strings.Join(out, "; "))
		}
		return
	}
	if s.rows > 0 {
		fmt.Fprintf(s.w, "\x1b[%dA\r\x1b[J", s.rows) // to the block's first row, and nothing is left of it
	}
	s.rows = 0
	for _, line := range out {
		fmt.Fprintln(s.w, line)
		s.rows += max(utf8.RuneCountInString(line)-1, 0)/s.width() + 1 // a long line is broken
	}
}

func (s *screen) running(l loadtest.Live, now time.Time) []string {
	when := fmt.Sprintf("%4.0f s", l.Elapsed.Seconds())
	if l.Elapsed < 0 {
		when = "warm-up"
	}
	out := []string{fmt.Sprintf("%s  %d tunnels up of %d", when, l.Up, l.Known)}
	for _, name := range slices.Sorted(maps.Keys(l.Kinds)) {
		t := l.Kinds[name]
		rate := 0.0
		if !s.at.IsZero() {
			rate = max(float64(t.OK-s.before[name])/now.Sub(s.at).Seconds(), 0)
		}
		s.before[name] = t.OK
		line := fmt.Sprintf("%s %.1f/s, p50 %s, p99 %s, p99.9 %s", name, rate, brief(t.Latency.Quantile(.5)), brief(t.Latency.Quantile(.99)), brief(t.Latency.Quantile(.999)))
		if n := l.InFlight[name]; n > 0 {
			line += fmt.Sprintf(", %d in flight", n)
		}
		out = append(out, line+badly(t))
	}
	s.at = now
	for _, p := range l.Relays {
		if cpu := p.CPU.Last(); cpu == cpu { // known
			out = append(out, fmt.Sprintf("%s %.2f cores, %.0f MiB", p.Name, cpu, p.Memory.Last()/(1<<20)))
		}
	}
	for _, g := range l.Lost {
		out = append(out, "lost: "+g)
	}
	return out
}

// badly is what went wrong, the most frequent first.
func badly(t result.Tally) string {
	codes := slices.Collect(maps.Keys(t.Errors))
	slices.SortFunc(codes, func(a, b string) int {
		if d := t.Errors[b] - t.Errors[a]; d != 0 {
			return int(d)
		}
		return strings.Compare(a, b)
	})
	var out strings.Builder
	for _, code := range codes[:min(len(codes), 4)] {
		fmt.Fprintf(&out, ", %d %s", t.Errors[code], code)
	}
	if c := t.Checked; c.Lost+c.Duplicated+c.Corrupted > 0 {
		fmt.Fprintf(&out, ", bytes: %d lost, %d duplicated, %d corrupted", c.Lost, c.Duplicated, c.Corrupted)
	}
	return out.String()
}

func brief(d time.Duration) string {
	switch {
	case d == 0:
		return "-"
	case d < 10*time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

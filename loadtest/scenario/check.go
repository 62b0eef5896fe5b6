package scenario

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"trunkline/loadtest/result"
)

// What a scenario may ask for.
const (
	MaxDevices = 100_000
	maxRate    = 1e6
	maxItems   = 64 // of a list
	maxRun     = 31 * 24 * time.Hour
	maxText    = 500
	// minMessage holds a message's numbers.
	minMessage = 64
	maxMessage = 64 << 10
)

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)

// checker gathers what is wrong, all of it at once.
type checker struct {
	root *yaml.Node
	errs []error
}

// bad says what is wrong at a path as "traffic.2.rate".
func (c *checker) bad(path, format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("line %d: %s: %s", c.line(path), path, fmt.Sprintf(format, args...)))
}

// line is where path is, or the nearest above it that the file mentions.
func (c *checker) line(path string) int {
	n := c.root
	if n.Kind == yaml.DocumentNode {
		n = n.Content[0]
	}
	line := n.Line
	for key := range strings.SplitSeq(path, ".") {
		var next *yaml.Node
		switch i, err := strconv.Atoi(key); {
		case n.Kind == yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == key {
					next = n.Content[i+1]
				}
			}
		case n.Kind == yaml.SequenceNode && err == nil && i <= len(n.Content):
			next = n.Content[i-1]
		}
		if next == nil {
			return line
		}
		n, line = next, next.Line
	}
	return line
}

func (c *checker) within(path string, v, lo, hi float64) {
	if !(v >= lo && v <= hi) { // NaN too
		c.bad(path, "need %v to %v", lo, strconv.FormatFloat(hi, 'f', -1, 64))
	}
}

func (c *checker) lasts(path string, d, lo, hi time.Duration) {
	if d < lo || d > hi {
		c.bad(path, "need %v to %v", lo, hi)
	}
}

func (c *checker) scenario(s Scenario) {
	if !namePattern.MatchString(s.Name) {
		c.bad("name", "need lower-case letters, digits and dashes, 40 at most")
	}
	if s.About == "" || len(s.About) > maxText || strings.ContainsFunc(s.About, func(r rune) bool { return r < ' ' }) {
		c.bad("about", "need one line of at most %d bytes", maxText)
	}
	c.within("devices", float64(s.Devices), 1, MaxDevices)
	c.within("pairs", float64(s.Pairs), 0, float64(max(s.Devices/2, 0)))
	c.within("connect_rate", s.ConnectRate, 0, maxRate)
	c.within("visits", float64(s.Visits), 1, float64(max(s.Sites(), 1)))
	c.within("relays", float64(s.Relays), 1, 16)
	if s.Entry != Near && s.Entry != Any {
		c.bad("entry", "need %s or %s", Near, Any)
	}
	c.lasts("warmup", s.Warmup, 0, time.Hour)
	c.lasts("duration", s.Duration, 100*time.Millisecond, maxRun)
	c.lasts("timeout", s.Timeout, time.Millisecond, time.Hour)
	for path, n := range map[string]int{"lines": len(s.Lines), "traffic": len(s.Traffic), "events": len(s.Events), "thresholds": len(s.Thresholds)} {
		if n > maxItems {
			c.bad(path, "at most %d", maxItems)
			return
		}
	}
	c.lines(s.Lines)
	if len(s.Traffic) == 0 {
		c.bad("traffic", "missing: nothing would be measured")
	}
	for i, t := range s.Traffic {
		c.traffic(fmt.Sprintf("traffic.%d.", i+1), t)
	}
	for i, e := range s.Events {
		c.event(fmt.Sprintf("events.%d.", i+1), e, s)
	}
	for i, text := range s.Thresholds {
		c.threshold(fmt.Sprintf("thresholds.%d", i+1), text, s)
	}
}

func (c *checker) lines(lines []Line) {
	var names []string
	sum := 0.0
	for i, l := range lines {
		at := fmt.Sprintf("lines.%d.", i+1)
		if !namePattern.MatchString(l.Name) || slices.Contains(names, l.Name) {
			c.bad(at+"name", "need a name of its own: lower-case letters, digits and dashes")
		}
		names = append(names, l.Name)
		c.within(at+"share", l.Share, 0, 1)
		c.lasts(at+"rtt", l.RTT, 0, 10*time.Second)
		c.within(at+"loss", l.Loss, 0, 0.5)
		for key, r := range map[string]Rate{"up": l.Up, "down": l.Down} {
			if r != 0 && r < 8000 {
				c.bad(at+key, "need at least 8kbit, or 0 for no limit")
			}
		}
		sum += l.Share
	}
	if len(lines) > 0 && !(math.Abs(sum-1) < 1e-6) {
		c.bad("lines", "the shares add up to %.3g, not to 1", sum)
	}
}

func (c *checker) traffic(at string, t Traffic) {
	if !slices.Contains(kinds(), t.Kind) {
		c.bad(at+"kind", "%q is none of %s", clip(t.Kind), strings.Join(kinds(), ", "))
		return
	}
	held := t.Kind == WebSocket
	if held {
		c.within(at+"open", float64(t.Open), 1, MaxDevices)
		c.lasts(at+"every", t.Every, time.Millisecond, time.Hour)
		c.within(at+"size", float64(t.Size), minMessage, maxMessage)
	} else if c.within(at+"rate", t.Rate, 1e-6, maxRate); t.Kind != Activate {
		c.within(at+"size", float64(t.Size), 1, 1<<30)
	}
	if t.Kind == Page {
		c.within(at+"assets", float64(t.Assets), 0, 200)
		if t.Assets > 0 {
			c.within(at+"asset_size", float64(t.AssetSize), 1, 1<<30)
		}
	}
	if t.Kind == Slow {
		c.within(at+"read_rate", float64(t.ReadRate), 1, 1<<30)
	}
	for _, k := range []struct {
		key  string
		set  bool
		here bool
	}{
		{"rate", t.Rate != 0, !held}, {"size", t.Size != 0, t.Kind != Activate},
		{"assets", t.Assets != 0, t.Kind == Page}, {"asset_size", t.AssetSize != 0, t.Kind == Page},
		{"open", t.Open != 0, held}, {"every", t.Every != 0, held}, {"read_rate", t.ReadRate != 0, t.Kind == Slow},
	} {
		if k.set && !k.here {
			c.bad(at+k.key, "means nothing to traffic of kind %s", t.Kind)
		}
	}
}

func (c *checker) event(at string, e Event, s Scenario) {
	c.lasts(at+"at", e.At, 0, max(s.Duration, 0))
	var does []string
	for _, k := range []struct {
		key string
		set bool
	}{{"kill", e.Kill != 0}, {"restart", e.Restart != ""}, {"drop", e.Drop != 0}, {"vanish", e.Vanish != 0}, {"swap", e.Swap != 0}} {
		if k.set {
			does = append(does, k.key)
		}
	}
	if len(does) != 1 {
		c.bad(strings.TrimSuffix(at, "."), "need one of kill, restart, drop, vanish, swap")
		return
	}
	c.within(at+"kill", float64(e.Kill), 0, float64(s.Relays))
	if e.Restart != "" && e.Restart != "all" {
		c.bad(at+"restart", "need all")
	}
	for key, v := range map[string]float64{"drop": e.Drop, "vanish": e.Vanish, "swap": e.Swap} {
		c.within(at+key, v, 0, 1)
	}
	if e.Swap > 0 && s.Pairs == 0 {
		c.bad(at+"swap", "there are no pairs")
	}
	c.lasts(at+"for", e.For, 0, max(s.Duration, 0))
	if e.For != 0 && e.Kill == 0 && e.Vanish == 0 {
		c.bad(at+"for", "means something to kill and vanish only")
	}
	if e.Vanish > 0 && e.For == 0 {
		c.bad(at+"for", "missing: how long the PBXs are silent")
	}
}

func (c *checker) threshold(at, text string, s Scenario) {
	t, err := result.ParseThreshold(text)
	if err != nil {
		c.bad(at, "%v", err)
		return
	}
	if t.Kind != "" && !slices.ContainsFunc(s.Traffic, func(u Traffic) bool { return u.Kind == t.Kind }) {
		c.bad(at, "there is no traffic of kind %q", clip(t.Kind))
	}
}

package scenario

import (
	"math"
	"strings"
	"time"

	"trunkline/loadtest/result"
)

// Scale is the same scenario with another number of PBXs, and everything that is
// of all of them in proportion: pairs, visits, rates, WebSockets, and thresholds
// that count tunnels.
func (s Scenario) Scale(devices int) Scenario {
	by := float64(devices) / float64(s.Devices)
	part := func(n int) int {
		if n == 0 {
			return 0
		}
		return max(int(float64(n)*by+0.5), 1)
	}
	s.Pairs = min(part(s.Pairs), devices/2)
	s.Visits = min(part(s.Visits), max(devices-s.Pairs, 1))
	s.Devices = devices
	s.Traffic = append([]Traffic(nil), s.Traffic...)
	for i := range s.Traffic {
		s.Traffic[i].Rate *= by
		s.Traffic[i].Open = part(s.Traffic[i].Open)
	}
	s.Thresholds = append([]string(nil), s.Thresholds...)
	for i, text := range s.Thresholds {
		if t, err := result.ParseThreshold(text); err == nil && strings.HasPrefix(t.Metric, "tunnels_") {
			t.Value = math.Floor(t.Value * by)
			s.Thresholds[i] = t.String()
		}
	}
	return s
}

// Stretch is the same scenario over another time, with its events where they
// were in proportion.
func (s Scenario) Stretch(duration time.Duration) Scenario {
	by := float64(duration) / float64(s.Duration)
	s.Duration = duration
	s.Events = append([]Event(nil), s.Events...)
	for i := range s.Events {
		e := &s.Events[i]
		e.At, e.For = time.Duration(float64(e.At)*by), time.Duration(float64(e.For)*by)
	}
	return s
}

// Share is what generator number i of n does of it, from 0.
func (s Scenario) Share(i, n int) (part Scenario, first int) {
	from := func(total int) (int, int) { return total * i / n, total * (i + 1) / n }
	lo, hi := from(s.Devices)
	plo, phi := from(s.Pairs)
	vlo, vhi := from(s.Visits)
	part = s
	part.Devices, part.Pairs = hi-lo, phi-plo
	part.Visits = max(min(vhi-vlo, part.Sites()), 1)
	part.ConnectRate /= float64(n)
	part.Traffic = append([]Traffic(nil), s.Traffic...)
	for k := range part.Traffic {
		t := &part.Traffic[k]
		t.Rate /= float64(n)
		olo, ohi := from(t.Open)
		t.Open = ohi - olo
	}
	return part, lo
}

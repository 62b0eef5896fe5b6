package main

import (
	"math"
	"slices"
)

// Units of what is only compared, as ratio of the same round.
const (
	unitTime = "time"
	unitCPU  = "cpu"
)

// rooms are by how much a figure may be over the base's whatever the noise: a
// share of it, and in its unit. Less is not worth a failed build.
var rooms = map[string]limit{
	"allocs/op":         {0.01, 0.2},
	"writes/op":         {0.02, 0.1},
	"reads/op":          {0.02, 0.1},
	"allocs/MiB":        {0.03, 2},
	"writes/MiB":        {0.03, 1},
	"reads/MiB":         {0.03, 1},
	"goroutines/tunnel": {0, 0.1},
	"heap-B/tunnel":     {0.02, 128},
	"stack-B/tunnel":    {0.02, 128},
	unitTime:            {0.10, 0},
	unitCPU:             {0.05, 0},
}

// What is said of a figure.
const (
	sameVerdict   = "same"
	betterVerdict = "better"
	worseVerdict  = "worse"
)

// judged is a figure of both, and what is made of it. Of times and CPU, Base is
// 1 and Now is the ratio.
type judged struct {
	Name    string  `json:"name"`
	Unit    string  `json:"unit"`
	Base    float64 `json:"base"`
	Now     float64 `json:"now"`
	Noise   float64 `json:"noise"` // the most by which the two equal ones differed
	Verdict string  `json:"verdict"`
}

// series are the rounds of one figure's three measurements after another.
type series []*rounds

type rounds struct {
	entry
	of [3][]float64
}

func (s *series) add(who int, got []entry) {
	for _, e := range got {
		i := slices.IndexFunc(*s, func(r *rounds) bool { return r.Name == e.Name && r.Unit == e.Unit })
		if i < 0 {
			*s = append(*s, &rounds{entry: e})
			i = len(*s) - 1
		}
		(*s)[i].of[who] = append((*s)[i].of[who], e.Value)
	}
}

func (s series) judge() []judged {
	var out []judged
	for _, r := range s {
		if n := len(r.of[0]); n == len(r.of[1]) && n == len(r.of[2]) {
			out = append(out, r.judge())
		}
	}
	return out
}

// judge compares what was measured in the same round. A figure is worse if the
// median of the differences is beyond the greatest difference between the two
// equal ones, beyond its room, and if in three of four rounds it was over both
// of them.
func (r *rounds) judge() judged {
	base, again, now := slices.Clone(r.of[0]), slices.Clone(r.of[2]), slices.Clone(r.of[1])
	if r.Unit == unitTime || r.Unit == unitCPU {
		for i := range base {
			mean := (base[i] + again[i]) / 2
			base[i], again[i], now[i] = base[i]/mean, again[i]/mean, now[i]/mean
		}
	}
	var both, changes []float64
	noise, over, under := 0.0, 0, 0
	for i := range base {
		mean := (base[i] + again[i]) / 2
		both, changes = append(both, mean), append(changes, now[i]-mean)
		noise = max(noise, math.Abs(base[i]-again[i]))
		if now[i] > max(base[i], again[i]) {
			over++
		}
		if now[i] < min(base[i], again[i]) {
			under++
		}
	}
	j := judged{Name: r.Name, Unit: r.Unit, Base: summarize(both).median, Now: summarize(now).median, Noise: noise, Verdict: sameVerdict}
	l := rooms[r.Unit]
	room := max(noise, l.share*j.Base, l.least)
	most := 3 * len(base)
	switch change := summarize(changes).median; {
	case change > room && 4*over >= most:
		j.Verdict = worseVerdict
	case change < -room && 4*under >= most:
		j.Verdict = betterVerdict
	}
	return j
}

// confirmed are those of a second look; what it does not find as the first did
// is the same.
func confirmed(first, second []judged) []judged {
	out := slices.Clone(second)
	for i, j := range out {
		if !slices.ContainsFunc(first, func(f judged) bool { return f.Name == j.Name && f.Unit == j.Unit && f.Verdict == j.Verdict }) {
			out[i].Verdict = sameVerdict
		}
	}
	return out
}

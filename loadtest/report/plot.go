package report

import (
	"fmt"
	"math"
	"strings"
)

// The area of a plot, in units that are pixels on a phone.
const (
	plotWidth, plotHeight   = 400, 220
	marginLeft, marginRight = 58, 24
	marginTop, marginBottom = 12, 24
	areaWidth               = plotWidth - marginLeft - marginRight
	areaHeight              = plotHeight - marginTop - marginBottom
	mostTicks               = 5
	mostMarks               = 60 // events in a plot: more are a blot
)

// plot is a picture of lines over the same x.
type plot struct {
	Title, About  string // About is for those who do not see it
	log           bool   // y is logarithmic; what is not positive is left out
	binary        bool   // y is in bytes: ticks are round in KiB, MiB, GiB
	format        func(float64) string
	xFormat       func(float64) string
	xTicks        []float64 // nil: round ones
	xLeast, xMost float64

	Lines []line
	marks []float64 // x of events
}

type line struct {
	Name  string
	Class string // of the style sheet: l0 to l6
	x, y  []float64
}

const lineClasses = 7

// add puts a line in, in the next colour.
func (p *plot) add(name string, x, y []float64) {
	p.Lines = append(p.Lines, line{name, fmt.Sprintf("l%d", len(p.Lines)%lineClasses), x, y})
}

// full reports whether another line would look like one that is there.
func (p *plot) full() bool { return len(p.Lines) == lineClasses }

// empty reports whether there is nothing to see.
func (p *plot) empty() bool {
	_, _, any := p.extent()
	return !any
}

func (p *plot) shown(v float64) bool { return !math.IsNaN(v) && (!p.log || v > 0) }

// extent is of y, and begins at nothing unless it is logarithmic.
func (p *plot) extent() (least, most float64, any bool) {
	for _, l := range p.Lines {
		for _, v := range l.y {
			if !p.shown(v) {
				continue
			}
			if !any {
				least, most = v, v
			}
			least, most, any = min(least, v), max(most, v), true
		}
	}
	if !p.log {
		return 0, most, any
	}
	return least, most, any
}

// Tick is a label at a place of an axis.
type Tick struct {
	At    float64
	Label string
}

// drawing is a plot as the template draws it.
type drawing struct {
	Width, Height            int
	Left, Right, Top, Bottom float64
	X, Y                     []Tick
	Paths                    []path
	Marks                    []float64
}

type path struct{ Class, D string }

// Draw scales the plot to its area.
func (p *plot) Draw() drawing {
	least, most, _ := p.extent()
	unit := 1.0
	for p.binary && unit*1024 <= most {
		unit *= 1024
	}
	yTicks := roundTicks(least/unit, most/unit)
	for i := range yTicks {
		yTicks[i] *= unit
	}
	toY := func(v float64) float64 { return v }
	if p.log {
		toY = math.Log10
		yTicks = decades(least, most)
	}
	least, most = min(least, yTicks[0]), max(most, yTicks[len(yTicks)-1])
	scale := func(v, from, to, length float64) float64 {
		if to <= from {
			return length / 2
		}
		return (v - from) / (to - from) * length
	}
	px := func(v float64) float64 { return marginLeft + scale(v, p.xLeast, p.xMost, areaWidth) }
	py := func(v float64) float64 {
		return marginTop + areaHeight - scale(toY(v), toY(least), toY(most), areaHeight)
	}
	d := drawing{Width: plotWidth, Height: plotHeight, Left: marginLeft, Right: plotWidth - marginRight, Top: marginTop, Bottom: marginTop + areaHeight}
	for _, v := range yTicks {
		d.Y = append(d.Y, Tick{py(v), p.format(v)})
	}
	xTicks := p.xTicks
	if xTicks == nil {
		xTicks = roundTicks(p.xLeast, p.xMost)
	}
	for _, v := range xTicks {
		if v >= p.xLeast && v <= p.xMost {
			d.X = append(d.X, Tick{px(v), p.xFormat(v)})
		}
	}
	for _, l := range p.Lines {
		d.Paths = append(d.Paths, path{l.Class, p.trace(l, px, py)})
	}
	for _, m := range p.marks[:min(len(p.marks), mostMarks)] {
		if m >= p.xLeast && m <= p.xMost {
			d.Marks = append(d.Marks, px(m))
		}
	}
	return d
}

// trace is an SVG path (SVG 2, section 9.3) that breaks where there is no value.
func (p *plot) trace(l line, px, py func(float64) float64) string {
	var b strings.Builder
	pen := "M"
	for i, v := range l.y {
		if !p.shown(v) {
			pen = "M"
			continue
		}
		x, y := px(l.x[i]), py(v)
		fmt.Fprintf(&b, "%s%.1f %.1f", pen, x, y)
		if pen == "M" {
			fmt.Fprintf(&b, "h0.01") // a value between gaps is a dot
		}
		pen = "L"
	}
	return b.String()
}

// roundTicks are a few numbers of 1, 2 or 5 times a power of ten that take in
// least, and most at the end.
func roundTicks(least, most float64) []float64 {
	if most <= least {
		most = least + 1
	}
	step := math.Pow(10, math.Floor(math.Log10((most-least)/mostTicks)))
	for _, f := range []float64{1, 2, 5, 10} {
		if (most-least)/(step*f) <= mostTicks {
			step *= f
			break
		}
	}
	first := math.Floor(least/step + 1e-9)
	var out []float64
	for i := first; ; i++ {
		out = append(out, i*step)
		if i*step >= most-1e-9*step {
			return out
		}
	}
}

// decades are the powers of ten that take in least and most.
func decades(least, most float64) []float64 {
	if least <= 0 {
		return []float64{1, 10}
	}
	var out []float64
	for e := math.Floor(math.Log10(least)); ; e++ {
		out = append(out, math.Pow(10, e))
		if len(out) > 1 && out[len(out)-1] >= most {
			return out
		}
	}
}

// times are those in the middle of n steps, in seconds.
func times(n int, step float64) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = (float64(i) + 0.5) * step
	}
	return out
}

// clock is a time in a run.
func clock(seconds float64) string {
	switch {
	case seconds < 120:
		return fmt.Sprintf("%.3g s", seconds)
	case seconds < 7200:
		return fmt.Sprintf("%.3g min", seconds/60)
	}
	return fmt.Sprintf("%.3g h", seconds/3600)
}

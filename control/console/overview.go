package console

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"trunkline/control/fleet"
)

type overviewView struct {
	Tiles   []tile
	Charts  []chart
	Unknown time.Time // since when the tiles are what was known last
	Alarms  int
	Over    int
	Plan    fleet.Subscription
	Percent int
}

// tile is one number.
type tile struct {
	Label, Href, Key string
	N                int
}

// chart is a small line over the last day; Text says the same in words.
type chart struct {
	Title, Text string
	Line, Area  string // SVG path data, in a box of 300 by 60
	Last, Most  int
}

// overviewPoll is how often the page looks again: what it says of the PBXs, and
// that it is not known, has to be right within 10 seconds.
const overviewPoll = 4 // seconds

func (c *console) overviewPage(w *response, r *http.Request, p fleet.Principal) error {
	o, err := c.o.Fleet.Overview(r.Context(), p)
	if err != nil {
		return err
	}
	v := overviewView{
		Tiles: []tile{
			{"Connected", "/?status=connected", "up", o.Devices[fleet.StatusConnected]},
			{"Not connected", "/?status=disconnected", "down", o.Devices[fleet.StatusDisconnected]},
			{"Never connected", "/?status=never_connected", "never", o.Devices[fleet.StatusNever]},
			{"Not activated", "/?status=not_activated", "never", o.Devices[fleet.StatusNotActivated]},
			{"Visits now", "/visits", "off", o.Visits},
		},
		Unknown: o.Unknown, Alarms: o.Alarms, Over: o.OverCapacity, Plan: o.Subscription,
	}
	if !o.Unknown.IsZero() {
		for i := range v.Tiles[:3] {
			v.Tiles[i].Key, v.Tiles[i].Label = "off", v.Tiles[i].Label+", last known"
		}
	}
	if n := o.Subscription.Connections; n > 0 {
		v.Percent = min(100, (o.Subscription.Used+o.Subscription.Allotted)*100/n)
	}
	if len(o.Samples) > 1 {
		v.Charts = []chart{
			newChart("Connected devices", o.Samples, func(s fleet.Sample) int { return s.Connected }),
			newChart("Visits", o.Samples, func(s fleet.Sample) int { return s.Visits }),
		}
	}
	return c.show(w, r, p, http.StatusOK, "overview", page{Title: "Overview", Nav: "overview", Data: v, Poll: overviewPoll})
}

const chartWidth, chartHeight = 300.0, 60.0

// newChart draws samples, oldest first, by their times.
func newChart(title string, all []fleet.Sample, value func(fleet.Sample) int) chart {
	first, last := all[0], all[len(all)-1]
	ch := chart{Title: title, Last: value(last)}
	for _, s := range all {
		ch.Most = max(ch.Most, value(s))
	}
	span := last.At.Sub(first.At).Seconds()
	var line strings.Builder
	for i, s := range all {
		x := chartWidth
		if span > 0 {
			x = s.At.Sub(first.At).Seconds() / span * chartWidth
		}
		y := chartHeight - 2
		if ch.Most > 0 {
			y -= float64(value(s)) / float64(ch.Most) * (chartHeight - 6)
		}
		line.WriteByte("ML"[min(i, 1)])
		line.WriteString(coordinate(x) + " " + coordinate(y))
	}
	ch.Line = line.String()
	ch.Area = ch.Line + "V60H0Z"
	ch.Text = "Now " + number(ch.Last) + ", at most " + number(ch.Most) + " since " + first.At.UTC().Format("15:04 UTC") + "."
	return ch
}

func coordinate(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }

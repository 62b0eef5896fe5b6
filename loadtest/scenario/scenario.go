// Package scenario is the file format of a load test: which PBXs there are and
// over what lines, who visits them and how often, what happens meanwhile, and
// what must hold. It reads and checks; it runs nothing.
//
// The scenarios that come with the program are examples of the format, with
// every key explained: package scenarios.
package scenario

import (
	"math"
	"time"
)

// Kinds of traffic. Each is an open loop: what is due is sent when it is due,
// however long the earlier takes.
const (
	Page      = "page"      // a page with its assets, six at a time, as browsers load it
	Download  = "download"  // a recording
	Upload    = "upload"    // firmware
	WebSocket = "websocket" // a live monitor: messages are echoed
	Slow      = "slow"      // a download whose reader is slow
	Activate  = "activate"  // a new PBX: added, activated, tunnel up
)

func kinds() []string { return []string{Page, Download, Upload, WebSocket, Slow, Activate} }

// Entries: a relay that a visitor's requests come to.
const (
	Near = "near" // the one that holds the PBX's tunnel, as a load balancer chooses that knows the routes
	Any  = "any"  // any that is ready, as a load balancer chooses that asks /readyz; of an installation of its own
)

// Scenario is one load test.
type Scenario struct {
	Name  string `yaml:"name"`  // lower case, digits and -
	About string `yaml:"about"` // one line

	Devices     int     `yaml:"devices"`      // simulated PBXs, each with a tunnel
	Pairs       int     `yaml:"pairs"`        // so many pairs of them are hot-standby pairs
	ConnectRate float64 `yaml:"connect_rate"` // PBXs a second that come up; 0: as fast as control activates them
	Visits      int     `yaml:"visits"`       // sites that are visited; 0: 200, or as many as there are
	Relays      int     `yaml:"relays"`       // of the installation that the test starts itself

	Entry string `yaml:"entry"` // which relay visitors come to: near (default), any

	Lines []Line `yaml:"lines"` // none: the PBXs are on the generator's own network

	Warmup   time.Duration `yaml:"warmup"`   // traffic before what is counted
	Duration time.Duration `yaml:"duration"` // what is counted
	Timeout  time.Duration `yaml:"timeout"`  // of one operation but WebSockets and slow readers

	Traffic    []Traffic `yaml:"traffic"`
	Events     []Event   `yaml:"events"`
	Thresholds []string  `yaml:"thresholds"`
}

// Line is the WAN of a group of PBXs.
type Line struct {
	Name  string        `yaml:"name"`
	Share float64       `yaml:"share"` // of the PBXs; all lines' add up to 1
	RTT   time.Duration `yaml:"rtt"`
	Loss  float64       `yaml:"loss"` // share of packets lost and sent again
	Up    Rate          `yaml:"up"`   // from the PBX; 0: no limit
	Down  Rate          `yaml:"down"`
}

// Traffic is a stream of operations over all visited sites.
type Traffic struct {
	Kind      string        `yaml:"kind"`
	Rate      float64       `yaml:"rate"`       // operations that are due each second, over all sites
	Size      Size          `yaml:"size"`       // of a page's HTML, a transfer, a message
	Assets    int           `yaml:"assets"`     // page: files beside the HTML
	AssetSize Size          `yaml:"asset_size"` // page: bytes of each
	Open      int           `yaml:"open"`       // websocket: held all the time
	Every     time.Duration `yaml:"every"`      // websocket: between two messages on each
	ReadRate  Size          `yaml:"read_rate"`  // slow: bytes a second that the reader takes
}

// Event is something that happens to the installation or the PBXs. One of the
// fields besides At is set.
type Event struct {
	At      time.Duration `yaml:"at"`      // after the warm-up
	Kill    int           `yaml:"kill"`    // SIGKILL for relay number Kill, from 1; it is started again after For
	Restart string        `yaml:"restart"` // all: SIGTERM for each relay in turn, and start again
	Drop    float64       `yaml:"drop"`    // share of the PBXs whose tunnels are cut off
	Vanish  float64       `yaml:"vanish"`  // share of the PBXs that fall silent, without a FIN, for For
	Swap    float64       `yaml:"swap"`    // share of the pairs whose roles swap
	For     time.Duration `yaml:"for"`
}

// Sites is how many sites there are.
func (s Scenario) Sites() int { return s.Devices - s.Pairs }

// OwnRelays reports whether the scenario does what only an installation of its
// own lets it do.
func (s Scenario) OwnRelays() bool {
	for _, e := range s.Events {
		if e.Kill != 0 || e.Restart != "" {
			return true
		}
	}
	return s.Entry == Any
}

// Room is how many connections of a licence it takes, those of PBXs that are
// activated on the way included, with some to spare: they come at random.
func (s Scenario) Room() int {
	n := float64(s.Sites())
	for _, t := range s.Traffic {
		if t.Kind == Activate {
			due := t.Rate * (s.Warmup + s.Duration).Seconds()
			n += due + 6*math.Sqrt(due) + 10
		}
	}
	return int(math.Ceil(n))
}

package peer

import "time"

// Config is the `peer` section of a relay's configuration.
type Config struct {
	Advertise string `yaml:"advertise"` // host:port where other relays dial this one; default: where agents do
	Links     int    `yaml:"links"`     // connections held to each other relay
}

func Default() Config { return Config{Links: 2} }

// MaxLinks is how many links a relay may hold to another one.
const MaxLinks = 16

// Versions are the protocol's that this relay speaks, newest first. Each has an
// ALPN name of its own.
var Versions = []int{1}

const (
	// ALPN is the TLS application protocol of a link, version 1.
	ALPN = "trunkline-peer/1"

	dialTime   = 5 * time.Second // for TCP, and for TLS after it
	headerTime = 10 * time.Second
	// A link is pinged this often, is in doubt when doubtAfter pings in a row have
	// brought nothing at all, and given up when silentFor have. What counts is pings,
	// not the clock: a relay that was stopped itself must not take the others for
	// dead.
	pingEvery  = time.Second
	doubtAfter = 2
	silentFor  = 20
	// retryLost is when a browser whose request was lost with a link may ask again.
	retryLost = 2 * time.Second
	// maxStreams on one link, of both sides together.
	maxStreams = 8192
	window     = 2 << 20
)

// past is a deadline that has gone by, to wake whoever waits.
var past = time.Unix(1, 0)

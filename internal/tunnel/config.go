package tunnel

import (
	"time"

	"trunkline/internal/mux"
)

// ALPN is the TLS application protocol of a tunnel.
const ALPN = "trunkline/1"

// Version is the protocol version in the hello.
const Version = 1

const (
	linger        = time.Second     // from an end to the socket's close: time for the goodbye to get through
	refuseLinger  = 2 * time.Second // the same for a refused hello
	controlMax    = 64 << 10        // bytes of a control message
	fullWindows   = 8               // by which all streams' windows of a tunnel may grow: one tunnel must not take what is there for all
	acceptBacklog = 256             // streams opened and not yet taken by the agent
)

// Config tunes a tunnel. A zero field takes its default.
type Config struct {
	HelloTimeout time.Duration // for handshake and hello together; and for a stream's header. 10 s
	Ping         time.Duration // between pings, +-25 %. 20 s; an agent takes what its relay says
	Silence      time.Duration // nothing heard for so long: the peer is gone. 45 s, or 2.25 pings if that is more
	Window       int           // bytes a stream may come to send unread, 256 KiB to 16 MiB. 2 MiB
	Budget       *mux.Budget   // for what windows grow by, all tunnels' together. No bound if nil
	MaxStreams   int           // agent: streams at once; more are refused. 1024
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&c.HelloTimeout, 10*time.Second)
	def(&c.Ping, 20*time.Second)
	def(&c.Silence, max(45*time.Second, c.Ping*9/4))
	if c.Window <= 0 {
		c.Window = 2 << 20
	}
	if c.MaxStreams <= 0 {
		c.MaxStreams = 1024
	}
	return c
}

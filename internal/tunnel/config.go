package tunnel

import (
	"time"

	"github.com/hashicorp/yamux"
	"go.uber.org/zap"
)

// ALPN is the TLS application protocol of a tunnel.
const ALPN = "trunkline/1"

// Version is the protocol version in the hello.
const Version = 1

const (
	linger        = time.Second      // from an end to the socket's close: time for the goodbye to get through
	refuseLinger  = 2 * time.Second  // the same for a refused hello
	writeTimeout  = 30 * time.Second // a socket that takes nothing for so long is stuck
	closeTimeout  = 5 * time.Second  // for the far side's answer to a stream's close
	controlMax    = 64 << 10         // bytes of a control message
	outboxLen     = 16               // control messages that may wait for the socket
	acceptBacklog = 256              // streams opened and not yet taken by the agent
	minWindow     = 256 << 10        // what yamux starts every stream with
	maxWindow     = 64 << 20
)

// Config tunes a tunnel. A zero field takes its default.
type Config struct {
	HelloTimeout time.Duration // for handshake and hello together; and for a stream's header. 10 s
	Ping         time.Duration // between pings, +-25 %. 20 s; an agent takes what its relay says
	Silence      time.Duration // nothing heard for so long: the peer is gone. 45 s, or 2.25 pings if that is more
	Window       int           // bytes a stream may send unread, 256 KiB to 64 MiB. 2 MiB
	MaxStreams   int           // agent: streams at once; more are refused. 1024
	Log          *zap.Logger   // of the multiplexer's complaints, at debug level. None if nil
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
	c.Window = min(max(c.Window, minWindow), maxWindow)
	if c.MaxStreams <= 0 {
		c.MaxStreams = 1024
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	return c
}

// yamux's own keep-alive is off: its ping has no credit for other traffic, so
// a slow uplink full of data would be taken for dead.
func (c Config) yamux() *yamux.Config {
	return &yamux.Config{
		AcceptBacklog:          acceptBacklog,
		KeepAliveInterval:      c.Ping, // unused, but checked
		ConnectionWriteTimeout: writeTimeout,
		MaxStreamWindowSize:    uint32(c.Window),
		StreamOpenTimeout:      c.Silence,
		StreamCloseTimeout:     closeTimeout,
		Logger:                 muxLog{c.Log.Sugar()},
	}
}

// muxLog takes yamux's lines. It logs one for every late frame, so they are
// formatted only when somebody is looking.
type muxLog struct{ log *zap.SugaredLogger }

func (l muxLog) Print(v ...any)                 { l.log.Debug(v...) }
func (l muxLog) Printf(format string, v ...any) { l.log.Debugf(format, v...) }
func (l muxLog) Println(v ...any)               { l.log.Debug(v...) }

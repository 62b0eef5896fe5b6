package edge

import (
	"cmp"
	"time"
)

// Limits bound a browser's and a portal's use of the relay. There is no limit
// on how long a transfer takes, only on how long it may stand still. A zero
// field takes its default.
type Limits struct {
	Header   time.Duration `yaml:"header"`   // a request's head, from its first byte; 10s
	Idle     time.Duration `yaml:"idle"`     // between requests; 75s
	Progress time.Duration `yaml:"progress"` // a body standing still, either way; 5m
	Dial     time.Duration `yaml:"dial"`     // opening a stream; 10s
	Answer   time.Duration `yaml:"answer"`   // the portal's head, after the request is out; 60s
	Upgrade  time.Duration `yaml:"upgrade"`  // a WebSocket with no byte either way; 1h

	HeadSize int `yaml:"head_size"` // of a request, bytes; 16 KiB
	Conns    int `yaml:"conns"`     // browsers' connections; 65536

	Watch time.Duration `yaml:"-"` // from when an exchange is watched for its browser's going; 1s

	StreamIdle       time.Duration `yaml:"stream_idle"`        // a stream kept for the next request; 25s
	StreamsPerDevice int           `yaml:"streams_per_device"` // at once; 256
	IdlePerDevice    int           `yaml:"idle_per_device"`    // kept for StreamIdle, more only for seconds; 32

	// What one device, or all of one account's, may take of this relay; 0: no limit.
	StreamsPerAccount int `yaml:"streams_per_account"` // at once
	OpensPerDevice    int `yaml:"opens_per_device"`    // new streams a second, on an average of 10s
	OpensPerAccount   int `yaml:"opens_per_account"`
	BytesPerDevice    int `yaml:"bytes_per_device"` // a second, both ways together
	BytesPerAccount   int `yaml:"bytes_per_account"`
}

func (l Limits) withDefaults() Limits {
	l.Header = cmp.Or(l.Header, 10*time.Second)
	l.Idle = cmp.Or(l.Idle, 75*time.Second)
	l.Progress = cmp.Or(l.Progress, 5*time.Minute)
	l.Dial = cmp.Or(l.Dial, 10*time.Second)
	l.Answer = cmp.Or(l.Answer, time.Minute)
	l.Upgrade = cmp.Or(l.Upgrade, time.Hour)
	l.Watch = cmp.Or(l.Watch, time.Second)
	l.HeadSize = cmp.Or(l.HeadSize, 16<<10)
	l.Conns = cmp.Or(l.Conns, 1<<16)
	l.StreamIdle = cmp.Or(l.StreamIdle, 25*time.Second)
	l.StreamsPerDevice = cmp.Or(l.StreamsPerDevice, 256)
	l.IdlePerDevice = cmp.Or(l.IdlePerDevice, 32)
	return l
}

// Elsewhere is how long a request may wait, before anything of it was said, for a PBX
// whose relay does not answer to be at another one: its agent notices within 35 s
// (internal/tunnel/PROTOCOL.md), and has a tunnel there seconds later.
const Elsewhere = 45 * time.Second

const (
	maxAnswerHead = largeBuf - tailRoom - headRoom // of a portal's answer
	maxInterim    = 16                             // 1xx answers before the final one
	countEvery    = 10 * time.Second               // a long transfer reports its bytes
	lingerFor     = 2 * time.Second                // reading on so that an early answer is not lost to a TCP reset
)

package linkmodel

import (
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"
)

// Mbit is a rate of one megabit per second, in bits per second.
const Mbit = 1_000_000

// packetSize is what TCP puts into one packet of Ethernet's 1500 bytes.
const packetSize = 1448

// DefaultQueue is a small router's: 64 KiB.
const DefaultQueue = 64 << 10

// maxTries of one packet: a link that loses more is down, not lossy.
const maxTries = 8

// Path is one direction of a link.
type Path struct {
	Rate  int           // bits per second; 0: no limit
	Delay time.Duration // from one end to the other
	Queue int           // bytes that may wait for their turn; 0: DefaultQueue
	Loss  float64       // share of packets that are lost and sent again, 0 to 1
}

// Config is a link: Up is from the near end, or the wrapped connection's
// holder, to the far one.
type Config struct {
	Up, Down Path
	Seed     uint64 // of which packets are lost
}

// Symmetric is a link with the same rate both ways.
func Symmetric(rate int, rtt time.Duration) Config {
	p := Path{Rate: rate, Delay: rtt / 2}
	return Config{Up: p, Down: p}
}

// Link is a link's two directions. It holds no goroutine.
type Link struct{ up, down *lane }

func New(c Config) *Link {
	// Who lost a packet learns it from the receiver, one round trip later.
	rtt := c.Up.Delay + c.Down.Delay
	return &Link{up: newLane(c.Up, rtt, c.Seed), down: newLane(c.Down, rtt, c.Seed+1)}
}

// Count is what has been sent in one direction.
type Count struct {
	Bytes   int64 // of connections
	Packets int64
	Lost    int64 // packets that were sent again
}

func (l *Link) Up() Count   { return l.up.counted() }
func (l *Link) Down() Count { return l.down.counted() }

// Pipe connects two ends over the link.
func (l *Link) Pipe() (near, far net.Conn) { return l.ends() }

func (l *Link) ends() (near, far *end) {
	up, down := newFlow(l.up), newFlow(l.down)
	return &end{in: down, out: up, name: "near"}, &end{in: up, out: down, name: "far"}
}

// lane is one direction: a queue that drains at a rate. The queue is no list
// but the time at which it will be empty.
type lane struct {
	Path
	again time.Duration // until a lost packet is sent anew
	turn  chan struct{} // whoever waits for room in the queue; channels are fair

	mu    sync.Mutex // guards what follows
	empty time.Time
	dice  *rand.Rand
	count Count
}

func newLane(p Path, rtt time.Duration, seed uint64) *lane {
	if p.Queue == 0 {
		p.Queue = DefaultQueue
	}
	return &lane{Path: p, again: rtt, turn: make(chan struct{}, 1), dice: rand.New(rand.NewPCG(seed, seed))}
}

func (l *lane) counted() Count {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// takes is how long n bytes hold the lane.
func (l *lane) takes(n int) time.Duration {
	if l.Rate == 0 {
		return 0
	}
	return time.Duration(float64(n) * 8 / float64(l.Rate) * float64(time.Second))
}

// enter waits for the caller's turn and until n more bytes find room in the
// queue, which takes one packet whatever its size.
func (l *lane) enter(n int, d *deadline) error {
	for taken := false; !taken; {
		late, moved := d.watch()
		select {
		case l.turn <- struct{}{}:
			taken = true
		case <-moved:
		case <-late:
			return os.ErrDeadlineExceeded
		}
	}
	for {
		full := l.full(n, time.Now())
		if full <= 0 {
			return nil
		}
		if err := d.pass(); err != nil {
			l.leave()
			return err
		}
		d.wait(full, nil)
	}
}

func (l *lane) leave() { <-l.turn }

// full is how long there is no room for n bytes.
func (l *lane) full(n int, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.empty.Before(now) {
		return 0
	}
	return l.empty.Sub(now) - l.takes(max(l.Queue-n, 0))
}

// send takes a packet of n bytes and says when it arrives.
func (l *lane) send(n int, now time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count.Bytes += int64(n)
	l.count.Packets++
	if l.empty.Before(now) {
		l.empty = now
	}
	l.empty = l.empty.Add(l.takes(n))
	at := l.empty.Add(l.Delay)
	for range maxTries {
		if l.Loss == 0 || l.dice.Float64() >= l.Loss {
			break
		}
		l.count.Lost++
		l.empty = l.empty.Add(l.takes(n))
		at = at.Add(l.again + l.takes(n))
	}
	return at
}

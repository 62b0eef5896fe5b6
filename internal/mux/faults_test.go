package mux

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// Something goes wrong behind the first frame, behind the second, and so on to
// the last: what arrives is what was sent, by its digest, as far as it comes; the
// other stream's arrives whole; and nothing is kept of either.
func TestFaultsAtEveryFrame(t *testing.T) {
	for name, fault := range map[string]func(*transfer){
		"the client resets":        func(x *transfer) { x.reset(0) },
		"the server resets":        func(x *transfer) { x.reset(1) },
		"both reset":               func(x *transfer) { x.reset(0); x.reset(1) },
		"the connection breaks":    func(x *transfer) { x.lost = true },
		"nothing goes up for long": func(x *transfer) { x.stalled = 1 },
		"nor down":                 func(x *transfer) { x.stalled = 0 },
	} {
		for _, c := range []struct {
			bothWays bool
			memory   string
		}{{true, "enough"}, {true, "used up"}, {false, "used up"}} {
			t.Run(fmt.Sprintf("%s/bothways=%v/memory=%s", name, c.bothWays, c.memory), func(t *testing.T) {
				x := newTransfer(t, c.bothWays, c.memory)
				frames := x.run(-1, nil)
				if grows := c.memory == "enough"; frames < 30 || (x.grown > 0) != grows {
					t.Fatalf("%d frames, windows grew by %d", frames, x.grown)
				}
				for frame := range frames {
					newTransfer(t, c.bothWays, c.memory).run(frame, fault)
					if t.Failed() {
						t.Fatalf("behind frame %d of %d", frame+1, frames)
					}
				}
			})
		}
	}
}

// What each end sends on the first stream, to which faults are done, and on the
// second.
var loads = [2][2][]byte{
	{random(1, initialWindow+20_000), random(2, 20_000)},
	{random(3, 30_000), random(4, 40_000)},
}

func random(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// transfer is two cores with two streams, both of which carry bytes both ways.
type transfer struct {
	t        *testing.T
	bothWays bool
	budget   *Budget // of both ends
	used     int64   // of it, by nobody here
	segments int64
	grown    int // by how much an end's windows were larger at most

	now     time.Duration
	ends    [2]core
	wire    [2][]byte // to each end: whole frames
	streams [2][]*Stream
	got     [2][2][]byte // by each end, of each stream

	cut     bool // the first stream has been reset
	lost    bool
	stalled int // the end that is told nothing for a while; -1: none is
}

func newTransfer(t *testing.T, bothWays bool, memory string) *transfer {
	x := &transfer{t: t, bothWays: bothWays, budget: NewBudget(8 << 20), segments: InUse(), now: 1, stalled: -1}
	if memory == "used up" {
		x.used = 8 << 20
		x.budget.take(int(x.used))
	}
	for i := range x.ends {
		x.ends[i] = newCore(Config{Client: i == 0, Accept: func(*Stream) {}, MaxStreams: 10, Window: 1 << 20, Budget: x.budget, BothWays: bothWays})
	}
	for range loads[0] {
		s, err := x.ends[0].open(x.now)
		if err != nil {
			t.Fatal(err)
		}
		x.begin(0, s)
	}
	return x
}

// begin has an end send all it has to on a stream.
func (x *transfer) begin(i int, s *Stream) {
	c := &x.ends[i]
	s.pend = loads[i][len(x.streams[i])]
	x.streams[i] = append(x.streams[i], s)
	c.queueData(s)
	if !x.bothWays {
		c.closeWrite(s, x.now)
	}
}

// run has frames arrive one by one until there are no more, and does fault
// behind one of them. It returns how many there were.
func (x *transfer) run(behind int, fault func(*transfer)) (frames int) {
	var out [FlushSize]byte
	for idle := 0; idle < 2 && !x.lost; idle++ {
		for i := range x.ends {
			x.now += time.Millisecond
			x.wire[1-i] = append(x.wire[1-i], out[:x.ends[i].fill(x.now, out[:])]...)
			x.closeHeard()
			if x.stalled == 1-i || len(x.wire[1-i]) == 0 {
				continue
			}
			idle = -1
			x.arrive(1 - i)
			if frames == behind && fault != nil {
				fault(x)
			}
			if frames++; x.lost {
				break
			}
		}
		if idle == 1 && x.stalled >= 0 {
			x.stalled, idle = -1, -1
		}
	}
	x.check()
	return frames
}

// arrive gives an end one frame, and reads what came.
func (x *transfer) arrive(i int) {
	c := &x.ends[i]
	h := parseHeader(x.wire[i])
	n := headerLen
	if h.typ == typeData {
		n += int(h.length)
	}
	if err := feed(c, string(x.wire[i][:n]), n); err != nil {
		x.t.Fatal(err)
	}
	x.wire[i] = x.wire[i][n:]
	for s := c.queues.pop(inTouched); s != nil; s = c.queues.pop(inTouched) {
		if s.events&opened != 0 {
			x.begin(i, s)
		}
		s.events = 0
	}
	for n, s := range x.streams[i] {
		b := make([]byte, s.queue.len)
		s.queue.read(b)
		x.got[i][n] = append(x.got[i][n], b...)
		if len(b) > 0 {
			c.consumed(s, x.now)
			x.grown = max(x.grown, c.grown)
		}
	}
}

// closeHeard has the server close what it has heard and said all on, where a
// close ends both directions.
func (x *transfer) closeHeard() {
	for n, s := range x.streams[1] {
		if x.bothWays && len(x.got[1][n]) == len(loads[0][n]) && s.unsent() == 0 {
			x.ends[1].closeWrite(s, x.now)
		}
	}
}

// reset is Stream.Reset.
func (x *transfer) reset(i int) {
	if len(x.streams[i]) == 0 || x.streams[i][0].forgotten {
		return
	}
	c, s := &x.ends[i], x.streams[i][0]
	c.resets = append(c.resets, reset{id: s.id})
	c.discard(s)
	c.forget(s, x.now)
	x.cut = true
}

func (x *transfer) check() {
	for i := range x.ends {
		for n := range x.got[i] {
			sent, got := loads[1-i][n], x.got[i][n]
			if all := !x.lost && (n == 1 || !x.cut); len(got) > len(sent) || all && len(got) != len(sent) {
				x.t.Errorf("end %d, stream %d: %d bytes of %d came", i, n, len(got), len(sent))
			} else if sha256.Sum256(got) != sha256.Sum256(sent[:len(got)]) {
				x.t.Errorf("end %d, stream %d: other bytes came", i, n)
			}
		}
		c := &x.ends[i]
		if n := c.streams.len(); n != 0 && !x.lost {
			x.t.Errorf("end %d has %d streams", i, n)
		}
		for s := range c.streams.all() {
			s.queue.clear()
			c.forget(s, x.now)
		}
		if c.grown != 0 {
			x.t.Errorf("end %d: its windows are %d larger than those of no stream", i, c.grown)
		}
	}
	if n := x.budget.Used(); n != x.used {
		x.t.Errorf("%d of the budget are used, not %d", n, x.used)
	}
	if n := InUse(); n > x.segments { // less: other tests' sessions have ended since
		x.t.Errorf("%d segments are left", n-x.segments)
	}
}

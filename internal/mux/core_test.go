package mux

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func frame(typ byte, flags uint16, id, length uint32, body string) string {
	b := make([]byte, headerLen)
	header{typ: typ, flags: flags, id: id, length: length}.put(b)
	return string(b) + body
}

func data(flags uint16, id uint32, body string) string {
	return frame(typeData, flags, id, uint32(len(body)), body)
}

// server is a core that takes streams of odd ids.
func server() core { return newCore(Config{Accept: func(*Stream) {}, MaxStreams: 10}) }

// feed gives c bytes in pieces of step.
func feed(c *core, b string, step int) error {
	var r Reader
	defer r.Release()
	for len(b) > 0 {
		n := copy(r.Room(), b[:min(step, len(b))])
		b = b[n:]
		err := c.receive(time.Second, r.seg, r.seg.B[r.at:r.at+n])
		if r.at += n; r.seg.Alone() {
			r.at = 0
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// drop gives back what c holds, and what those have to read that it has forgotten
// and not told of yet.
func drop(c *core) {
	for s := c.queues.pop(inTouched); s != nil; s = c.queues.pop(inTouched) {
		s.queue.clear()
	}
	for s := range c.streams.all() {
		s.queue.clear()
		c.dropUnsent(s)
	}
}

func TestWhatAPeerMustNotSend(t *testing.T) {
	open := data(flagSYN, 1, "hello")
	for name, c := range map[string]struct {
		sent string
		want error
	}{
		"another version":        {"\x01" + open[1:], ErrVersion},
		"an unknown type":        {frame(9, 0, 1, 0, ""), ErrType},
		"a stream without an id": {data(0, 0, "x"), ErrID},
		"our ids":                {data(flagSYN, 2, "x"), ErrID},
		"a second SYN":           {open + open, ErrDuplicate},
		"more than the window":   {data(flagSYN, 1, strings.Repeat("x", initialWindow-10)) + data(0, 1, strings.Repeat("x", 11)), ErrWindow},
		"a claim of more":        {open + frame(typeData, 0, 1, 1<<31, ""), ErrWindow},
		"endless windows":        {open + frame(typeWindow, 0, 1, 1<<32-1, ""), ErrOverflow},
		"data behind a FIN":      {data(flagSYN|flagFIN, 1, "x") + data(0, 1, "y"), ErrAfterFIN},
		"two FINs":               {data(flagSYN|flagFIN, 1, "x") + frame(typeWindow, flagFIN, 1, 0, ""), ErrAfterFIN},
		"an unwell goodbye":      {frame(typeGoAway, 0, 0, 1, ""), ErrGoAway},
		"a flood of pings":       {strings.Repeat(frame(typePing, flagSYN, 0, 7, ""), repliesMax+1), ErrFlood},
	} {
		for _, step := range []int{1, 13, 1 << 20} {
			k := server()
			if err := feed(&k, c.sent, step); !errors.Is(err, c.want) {
				t.Errorf("%s, in pieces of %d: %v", name, step, err)
			}
			drop(&k)
		}
	}
}

func TestWhatAPeerMaySend(t *testing.T) {
	for name, sent := range map[string]string{
		"a SYN alone":                   frame(typeWindow, flagSYN, 1, 0, ""),
		"all in one frame":              data(flagSYN|flagFIN, 1, "x"),
		"a RST with a body":             data(flagSYN, 1, "x") + data(flagRST, 1, "y"),
		"more of a stream that was":     data(flagRST|flagSYN, 1, "x") + data(0, 1, "y") + frame(typeWindow, flagFIN, 1, 0, ""),
		"a ping's answer nobody wanted": frame(typePing, flagACK, 0, 7, ""),
		"a goodbye":                     frame(typeGoAway, 0, 0, 0, ""),
		"an empty frame":                data(flagSYN, 1, "") + data(0, 1, ""),
		"an id out of order":            data(flagSYN, 5, "x") + data(flagSYN, 3, "x"),
	} {
		k := server()
		if err := feed(&k, sent, 5); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		drop(&k)
	}
}

// More streams than there may be are reset, and those that are there go on.
func TestStreamsBeyondTheLimitAreReset(t *testing.T) {
	k := server()
	defer drop(&k)
	for id := uint32(1); id < 2*11; id += 2 {
		if err := feed(&k, data(flagSYN, id, "x"), 100); err != nil {
			t.Fatal(err)
		}
	}
	var out [FlushSize]byte
	n := k.fill(time.Second, out[:])
	if want := frame(typeWindow, flagRST, 21, 0, ""); !bytes.Contains(out[:n], []byte(want)) || k.streams.len() != 10 {
		t.Errorf("%d streams, sent %x", k.streams.len(), out[:n])
	}
	err := feed(&k, synFlood(), 1<<16)
	if !errors.Is(err, ErrFlood) {
		t.Errorf("a flood: %v", err)
	}
}

func synFlood() string {
	var b strings.Builder
	for i := range uint32(repliesMax + 1) {
		b.WriteString(frame(typeWindow, flagSYN, 1001+2*i, 0, ""))
	}
	return b.String()
}

// Whoever has said all and then that it hears no more is still read to the end:
// on a slow line both come at once.
func TestAResetBehindTheEndLosesNothing(t *testing.T) {
	var s *Stream
	session := New(Config{Accept: func(st *Stream) { s = st }, Write: func([]byte) error { return nil }})
	defer session.Fail(nil)
	in := data(flagSYN, 1, "all of it") + frame(typeWindow, flagFIN, 1, 0, "") + frame(typeWindow, flagRST, 1, 0, "")
	seg := NewSegment()
	defer seg.Release()
	if err := session.Receive(seg, seg.B[:copy(seg.B, in)]); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(s); err != nil || string(got) != "all of it" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := s.Write([]byte("x")); !errors.Is(err, ErrReset) {
		t.Errorf("a write: %v", err)
	}
	if n := session.Len(); n != 0 {
		t.Errorf("%d streams are left", n)
	}
}

// Control goes first, then the streams take turns, a frame each.
func TestStreamsTakeTurns(t *testing.T) {
	k := newCore(Config{Client: true, MaxStreams: 10})
	var streams []*Stream
	for range 3 {
		s, err := k.open(1)
		if err != nil {
			t.Fatal(err)
		}
		s.pend = make([]byte, 3*MaxBody)
		k.queueData(s)
		streams = append(streams, s)
	}
	k.pongs = []uint32{7}
	var out [FlushSize]byte
	var ids []uint32
	for n := k.fill(1, out[:]); n > 0; n = k.fill(1, out[:]) {
		for b := out[:n]; len(b) > 0; {
			h := parseHeader(b)
			b = b[headerLen:]
			if h.typ == typeData {
				b = b[h.length:]
				if h.length > MaxBody {
					t.Errorf("a frame of %d", h.length)
				}
			}
			if h.length == MaxBody || h.typ == typePing {
				ids = append(ids, h.id)
			}
		}
	}
	if len(ids) < 5 || ids[0] != 0 || ids[1] == ids[2] || ids[2] == ids[3] || ids[1] == ids[3] {
		t.Errorf("the order was %v", ids)
	}
	for _, s := range streams {
		if s.unsent() != 0 {
			t.Errorf("%d bytes were not sent", s.unsent())
		}
	}
}

// A window doubles while it is used up faster than four round trips, up to
// what the budget has.
func TestWindowsGrowWithinTheBudget(t *testing.T) {
	budget := NewBudget(3 * initialWindow)
	k := newCore(Config{Accept: func(*Stream) {}, MaxStreams: 10, Window: 16 << 20, Budget: budget})
	if err := feed(&k, data(flagSYN, 1, "x"), 100); err != nil {
		t.Fatal(err)
	}
	k.rtt = 100 * time.Millisecond
	s := k.streams.get(1)
	now := time.Second
	for range 8 {
		use(t, &k, s)
		k.consumed(s, now)
		now += 50 * time.Millisecond
	}
	if s.window != 4*initialWindow || budget.Used() != 3*initialWindow {
		t.Errorf("a window of %d, %d of the budget", s.window, budget.Used())
	}
	now += time.Minute
	k.forget(s, now)
	if budget.Used() != 0 {
		t.Errorf("%d of the budget are still used", budget.Used())
	}
}

// One session gets no more of the budget than its own bound, and gives it back.
func TestWindowsGrowWithinTheSession(t *testing.T) {
	budget := NewBudget(1 << 30)
	k := newCore(Config{Accept: func(*Stream) {}, MaxStreams: 100, Window: 16 << 20, Growth: 5 * initialWindow, Budget: budget})
	k.rtt = 100 * time.Millisecond
	now := time.Second
	for id := uint32(1); id < 40; id += 2 {
		if err := feed(&k, data(flagSYN, id, "x"), 100); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			use(t, &k, k.streams.get(id))
			k.consumed(k.streams.get(id), now)
			now += 50 * time.Millisecond
		}
		if now := budget.Used(); now > 5*initialWindow || int(now) != k.grown {
			t.Fatalf("windows grew by %d of %d, the session's by %d", now, 5*initialWindow, k.grown)
		}
	}
	if budget.Used() != 5*initialWindow {
		t.Errorf("windows grew by %d, and might by %d", budget.Used(), 5*initialWindow)
	}
	for s := range k.streams.all() {
		k.forget(s, now)
	}
	if budget.Used() != 0 || k.grown != 0 {
		t.Errorf("%d of the budget are still used, %d of the session's", budget.Used(), k.grown)
	}
}

// use has a peer fill a stream's window, and a reader empty it.
func use(t *testing.T, k *core, s *Stream) {
	t.Helper()
	for s.credit > 0 {
		if err := feed(k, data(0, s.id, strings.Repeat("x", int(min(s.credit, 60<<10)))), 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	s.queue.clear()
	s.queue.len = 0
}

// However a peer cuts and mixes what it sends, what nobody reads takes no more
// than four times itself, and a segment for each stream: also where all that
// arrives with it is read at once.
func TestUnreadDataHoldsLittleMoreThanItself(t *testing.T) {
	const unread, rounds, busy = 8, 20, 1001 // streams, bodies of each at most, and the stream that is read
	for _, size := range []int{1, 13, 1000, 1025, 4096, 4097, copyMax, copyMax + 1, MaxBody, 20_000} {
		k := newCore(Config{Accept: func(*Stream) {}, MaxStreams: 1000})
		if err := feed(&k, data(flagSYN, busy, ""), 100); err != nil {
			t.Fatal(err)
		}
		body, rest := strings.Repeat("x", size), data(0, busy, strings.Repeat("y", SegmentSize-size-2*headerLen))
		var r Reader
		bytes := 0
		for n := range min(rounds, initialWindow/size) {
			for id := uint32(1); id <= 2*unread; id += 2 {
				flags := uint16(0)
				if n == 0 {
					flags = flagSYN
				}
				b := data(flags, id, body) + rest
				for len(b) > 0 {
					n := copy(r.Room(), b)
					b = b[n:]
					if err := k.receive(time.Second, r.seg, r.seg.B[r.at:r.at+n]); err != nil {
						t.Fatal(err)
					}
					if r.at += n; r.seg.Alone() {
						r.at = 0
					}
				}
				bytes += size
				s := k.streams.get(busy)
				s.queue.clear()
				s.credit = initialWindow
			}
		}
		r.Release()
		held := make(map[*Segment]bool)
		for s := range k.streams.all() {
			for _, p := range s.queue.pieces[s.queue.first:] {
				held[p.seg] = true
			}
		}
		sum := 0
		for seg := range held {
			sum += len(seg.B)
		}
		if sum < bytes || sum > 4*bytes+unread*SegmentSize {
			t.Errorf("bodies of %d: %d bytes that nobody has read hold %d", size, bytes, sum)
		}
		t.Logf("bodies of %d: %.2f times itself", size, float64(sum)/float64(bytes))
		drop(&k)
	}
}

// A peer that never opens its window cannot keep a stream that we have closed;
// a connection that is slow does not lose what was written before the close.
func TestClosedStreamsDoNotStay(t *testing.T) {
	for _, window := range []uint32{0, 100} {
		s := New(Config{Client: true, BothWays: true, Write: func([]byte) error { return nil }})
		s.flushing = true // nobody sends
		st, err := s.Open(nil)
		if err != nil {
			t.Fatal(err)
		}
		st.allowed = window
		st.Hold([]byte("taken"))
		st.Close()
		s.expiry.Stop()
		next := s.core.expire(clock() + closeTime)
		if kept := window > 0; (s.Len() == 1) != kept || (next != 0) != kept {
			t.Errorf("a window of %d: %d streams, next %v", window, s.Len(), next)
		}
		s.Fail(nil)
	}
}

// twoCores are that, and what is on its way between them.
type twoCores struct {
	t    *testing.T
	r    *rand.Rand
	ends [2]core
	wire [2][]byte // to each end
	of   [2]map[uint32]*Stream
	sent [2]map[uint32][]byte // by each end
	got  [2]map[uint32][]byte
	cut  map[uint32]bool // reset, or closed before all was read
	out  [FlushSize]byte
}

// Whatever two ends do, and wherever their bytes are cut: what arrives is what
// was sent, in order, to the end if nobody cut it off; and nothing is kept.
func TestTwoCores(t *testing.T) {
	for seed := range uint64(24) {
		before := InUse()
		w := &twoCores{t: t, r: rand.New(rand.NewPCG(seed, 1)), cut: make(map[uint32]bool)}
		for i := range w.ends {
			w.ends[i] = newCore(Config{Client: i == 0, Accept: func(*Stream) {}, MaxStreams: 1000, Window: 1 << 20, BothWays: seed%2 == 0})
			w.of[i], w.sent[i], w.got[i] = make(map[uint32]*Stream), make(map[uint32][]byte), make(map[uint32][]byte)
		}
		now := time.Duration(1)
		for range 400 {
			now += time.Duration(w.r.IntN(int(20 * time.Millisecond)))
			w.step(w.r.IntN(2), now)
		}
		for idle := 0; idle < 3; idle++ { // to the end
			now += time.Millisecond
			if len(w.wire[0])+len(w.wire[1]) > 0 || w.ends[0].hasOutput() || w.ends[1].hasOutput() {
				idle = 0
			}
			for i := range w.ends {
				w.move(i, now)
				w.readAll(i, now)
			}
		}
		w.check(seed)
		for i := range w.ends {
			drop(&w.ends[i])
			for _, s := range w.of[i] {
				s.queue.clear()
			}
		}
		if after := InUse(); after > before { // less: other tests' sessions have ended since
			t.Fatalf("seed %d: %d segments are left", seed, after-before)
		}
		if t.Failed() {
			return
		}
	}
}

func (w *twoCores) step(i int, now time.Duration) {
	c := &w.ends[i]
	var any *Stream
	for _, s := range w.of[i] {
		any = s
		break
	}
	switch w.r.IntN(12) {
	case 0:
		if c.streams.len() >= 15 {
			break
		}
		if s, err := c.open(now); err == nil {
			w.of[i][s.id] = s
		}
	case 1, 2, 3:
		if any != nil && len(any.pend) == 0 && !any.finDue && !any.finSent && !any.forgotten && !(any.finGot && c.bothWays) {
			b := make([]byte, 1+w.r.IntN([]int{10, 3000, 100_000}[w.r.IntN(3)]))
			for j := range b {
				b[j] = byte(w.r.Uint32())
			}
			any.pend = b
			w.sent[i][any.id] = append(w.sent[i][any.id], b...)
			c.queueData(any)
		}
	case 4, 5:
		if any != nil {
			w.read(i, any, 1+w.r.IntN(50_000), now)
		}
	case 6:
		if any != nil && w.r.IntN(4) == 0 {
			if c.bothWays || len(any.pend) > 0 {
				w.cut[any.id] = true
			}
			c.closeWrite(any, now)
		}
	case 7:
		if any != nil && w.r.IntN(8) == 0 && !any.forgotten {
			w.cut[any.id] = true
			c.resets = append(c.resets, reset{id: any.id})
			c.discard(any)
			c.forget(any, now)
		}
	default:
		w.move(i, now)
	}
}

// move has i send what it has, and the other end receive a part of it.
func (w *twoCores) move(i int, now time.Duration) {
	n := w.ends[i].fill(now, w.out[:])
	other := 1 - i
	w.wire[other] = append(w.wire[other], w.out[:n]...)
	for k := 0; k < 3 && len(w.wire[other]) > 0; k++ {
		seg := NewSegment()
		from := w.r.IntN(100)
		n := copy(seg.B[from:], w.wire[other][:min(len(w.wire[other]), 1+w.r.IntN(70_000))])
		if err := w.ends[other].receive(now, seg, seg.B[from:from+n]); err != nil {
			w.t.Fatalf("receive: %v", err)
		}
		seg.Release()
		w.wire[other] = w.wire[other][n:]
	}
	for s := w.ends[other].queues.pop(inTouched); s != nil; s = w.ends[other].queues.pop(inTouched) {
		if s.events&opened != 0 {
			w.of[other][s.id] = s
		}
		s.events = 0
	}
}

func (w *twoCores) read(i int, s *Stream, n int, now time.Duration) {
	b := make([]byte, n)
	n = s.queue.read(b)
	w.got[i][s.id] = append(w.got[i][s.id], b[:n]...)
	if n > 0 {
		w.ends[i].consumed(s, now)
	}
}

func (w *twoCores) readAll(i int, now time.Duration) {
	for _, s := range w.of[i] {
		w.read(i, s, 1<<20, now)
	}
}

func (w *twoCores) check(seed uint64) {
	for i := range w.ends {
		for id, sent := range w.sent[i] {
			got := w.got[1-i][id]
			if !bytes.HasPrefix(sent, got) || !w.cut[id] && len(got) != len(sent) {
				w.t.Errorf("seed %d, stream %d: %d bytes sent, %d came (cut: %v)", seed, id, len(sent), len(got), w.cut[id])
			}
		}
	}
}

// Whatever comes, cut anywhere: no panic, nothing kept, and the same verdict as
// of the whole.
func FuzzReceive(f *testing.F) {
	f.Add([]byte(data(flagSYN, 1, "hello")+frame(typeWindow, flagFIN, 1, 0, "")+frame(typePing, flagSYN, 0, 1, "")), uint8(5))
	f.Add([]byte(data(flagSYN, 3, strings.Repeat("x", 20_000))+data(flagRST, 3, "y")), uint8(200))
	out := make([]byte, FlushSize)
	f.Fuzz(func(t *testing.T, b []byte, cut uint8) {
		before := InUse()
		run := func(step int) (int, error) {
			k := server()
			err := feed(&k, string(b), step)
			queued := 0
			for s := range k.streams.all() {
				queued += s.queue.len
			}
			for k.fill(time.Second, out) > 0 {
			}
			drop(&k)
			return queued, err
		}
		n, whole := run(1 << 16)
		m, pieces := run(int(cut) + 1)
		if whole != pieces || whole == nil && n != m {
			t.Fatalf("%v and %d bytes; in pieces %v and %d", whole, n, pieces, m)
		}
		if after := InUse(); after > before { // less: other tests' sessions have ended since
			t.Fatalf("%d segments are left", after-before)
		}
	})
}

package edge

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"trunkline/internal/fault"
)

// handOver passes a 101 on and makes the two connections one.
func (x *exchange) handOver(a *answer) error {
	x.c.stopWatch()
	x.what, x.status = "upgrade", a.status
	out := getBuf(smallBuf)
	defer putBuf(out)
	head := appendField(x.appendAnswer(out[:0], a), []byte("Upgrade"), a.upgrade)
	head = append(head, "Connection: Upgrade\r\n\r\n"...)
	x.answers()
	x.c.stage.Store(stageUpgraded)
	if _, err := x.c.Write(head); err != nil {
		return errGone
	}
	x.guest.Busy = nil // what comes down says nothing of who looks at it
	p := &pump{x: x, l: x.link, swapped: make(chan struct{}), cut: make(chan struct{}), ws: strings.EqualFold(string(a.upgrade), "websocket"), limit: x.e.o.Limits.Upgrade}
	ctx := x.ctx
	x.ctx, x.upgraded = nil, true
	x.req = request{method: x.req.method} // its slices are fasthttp's
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(p.run)
	return nil
}

// pump carries an upgraded connection both ways until either side ends, the
// visit does, or the relay is drained.
type pump struct {
	x     *exchange
	l     *link
	ws    bool
	limit time.Duration
	moved atomic.Int64 // instant of the last byte either way

	ending  sync.Once     // closes cut
	cut     chan struct{} // closed when down has nothing to wait for any more
	swapped chan struct{} // closed by swaps: the site's other device serves now

	mu     sync.Mutex // guards the browser's writing side
	frames frames
	said   bool // our close frame is out: nothing may follow it

	telling sync.Mutex // guards the exchange's count
}

// run owns the connection hc; fasthttp closes it afterwards.
func (p *pump) run(hc net.Conn) {
	x := p.x
	x.e.m.upgraded.Inc()
	x.c.roll(p.limit)
	p.l.limit = p.limit
	_ = p.l.SetWriteDeadline(time.Time{})
	p.touch()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	x.e.swaps.join(p)
	wg.Go(func() { p.watch(stop) })
	var left atomic.Bool
	wg.Go(func() {
		p.up(hc, stop)
		left.Store(true)
		p.end()
		_ = p.l.Close() // ends down, which has nothing to wait for
	})
	err := p.down()
	broken := err != nil && !left.Load()
	close(stop)
	x.c.linger = true
	x.c.interrupt() // ends up
	wg.Wait()
	x.e.swaps.leave(p)
	if broken && x.code == "" {
		x.code = portalFault(err).Code
		x.c.kill()
	}
	x.e.pool.finish(p.l)
	x.e.m.upgraded.Dec()
	x.end()
}

func (p *pump) end() { p.ending.Do(func() { close(p.cut) }) }

func (p *pump) touch() { p.moved.Store(instant(time.Now())) }

// tell keeps the visit's owner informed, now and then.
func (p *pump) tell() {
	p.telling.Lock()
	defer p.telling.Unlock()
	if now := time.Now(); now.Sub(p.x.toldAt) > countEvery {
		p.x.count(now)
	}
}

// quiet reports whether neither side has said anything for the limit.
func (p *pump) quiet() bool {
	return since(p.moved.Load()) >= p.limit
}

// down carries from the portal to the browser.
func (p *pump) down() error {
	l := p.l
	due := toll{x: p.x}
	defer due.settle()
	for {
		if n := l.w - l.r; n > 0 {
			if err := p.write(l.data()); err != nil {
				return err
			}
			l.r = l.w
			p.x.out.Add(int64(n))
			due.owed += n
			p.touch()
			p.tell()
			due.wait(p.cut)
		}
		if err := l.arm(time.Now()); err != nil {
			return err
		}
		_, err := l.fill()
		switch {
		case err == nil:
		case isTimeout(err) && !p.quiet():
			l.armedR = time.Time{}
		case errors.Is(err, io.EOF):
			return nil
		default:
			return err
		}
	}
}

func (p *pump) write(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.said {
		return errVisitEnded
	}
	if p.ws {
		p.frames.advance(b)
	}
	_, err := p.x.c.Write(b)
	return err
}

// up carries from the browser to the portal; what fasthttp has read ahead
// comes first out of hc.
func (p *pump) up(hc net.Conn, stop <-chan struct{}) {
	buf := getBuf(smallBuf)
	defer putBuf(buf)
	due := toll{x: p.x}
	defer due.settle()
	var armed, spoke time.Time
	for {
		n, err := hc.Read(buf)
		if n > 0 {
			now := time.Now()
			if now.Sub(armed) > p.x.e.o.Limits.Progress/8 {
				armed = now
				_ = p.l.SetWriteDeadline(now.Add(p.x.e.o.Limits.Progress))
			}
			if _, err := p.l.Write(buf[:n]); err != nil {
				return
			}
			p.x.in.Add(int64(n))
			due.owed += n
			p.touch()
			p.tell()
			if p.x.guest.Spoke != nil && now.Sub(spoke) > time.Second {
				spoke = now
				p.x.guest.Spoke(p.x.key + 1) // not its own handshake's
			}
			due.wait(stop)
		}
		if err != nil && !(isTimeout(err) && !p.quiet() && !p.x.c.isInterrupted()) {
			return
		}
	}
}

// WebSocket close codes (RFC 6455, section 7.4.1, and its registry).
const (
	closePolicy  = 1008
	closeRestart = 1012
)

// watch ends the connection for reasons of ours.
func (p *pump) watch(stop <-chan struct{}) {
	goAway, closing := p.x.e.goAway, p.l.closing()
	var last <-chan struct{} // closed when it is time to go
	for {
		select {
		case <-goAway:
			goAway, closing, last = nil, nil, p.pauses(stop)
		case <-closing:
			goAway, closing, last = nil, nil, p.pauses(stop)
		case <-last:
			p.bye(closeRestart, "relay restarts", fault.Draining)
			return
		case <-p.x.guest.Ended:
			p.bye(closePolicy, "visit ended", p.x.endedBy())
			return
		case <-p.swapped:
			p.bye(closeRestart, "roles swapped", fault.RolesSwapped)
			return
		case <-stop:
			return
		}
	}
}

// pauses closes what it returns in a moment in which nothing that was said is without
// its answer, as far as can be seen, or soon, and not if p has ended by then.
func (p *pump) pauses(stop <-chan struct{}) <-chan struct{} {
	now := make(chan struct{})
	go func() {
		end := time.Now().Add(lastWords)
		for {
			left := min(pause-since(p.moved.Load()), time.Until(end))
			if left <= 0 {
				close(now)
				return
			}
			t := time.NewTimer(left)
			select {
			case <-t.C:
			case <-stop:
				t.Stop()
				return
			}
		}
	}()
	return now
}

// bye says goodbye in a close frame, if the last frame to the browser is
// complete: in the middle of one it would be taken for payload.
func (p *pump) bye(status int, reason string, code fault.Code) {
	_ = p.x.c.Conn.SetWriteDeadline(time.Now().Add(time.Second)) // frees the lock from a browser that does not read
	p.mu.Lock()
	if p.ws && p.frames.boundary() {
		frame := append([]byte{0x88, byte(2 + len(reason)), byte(status >> 8), byte(status)}, reason...)
		_, _ = p.x.c.Conn.Write(frame) // it is being closed either way
	}
	p.said = true
	p.x.code = code
	p.mu.Unlock()
	p.end()
	p.l.Reset()
	p.x.c.interrupt()
}

// frames follows WebSocket frames (RFC 6455, section 5.2) as they pass.
type frames struct {
	head [14]byte
	n    int    // of the head so far
	left uint64 // of the payload
}

func (f *frames) boundary() bool { return f.n == 0 && f.left == 0 }

func (f *frames) advance(b []byte) {
	for len(b) > 0 {
		if f.left > 0 {
			n := min(f.left, uint64(len(b)))
			f.left -= n
			b = b[n:]
			continue
		}
		f.head[f.n] = b[0]
		f.n++
		b = b[1:]
		if f.n >= 2 && f.n == f.headLen() {
			f.left, f.n = f.payload(), 0
		}
	}
}

func (f *frames) headLen() int {
	n := 2
	switch f.head[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if f.head[1]&0x80 != 0 {
		n += 4
	}
	return n
}

func (f *frames) payload() uint64 {
	short := uint64(f.head[1] & 0x7f)
	var ext int
	switch short {
	case 126:
		ext = 2
	case 127:
		ext = 8
	default:
		return short
	}
	var n uint64
	for _, c := range f.head[2 : 2+ext] {
		n = n<<8 | uint64(c)
	}
	return n
}

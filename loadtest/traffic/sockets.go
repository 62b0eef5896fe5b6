package traffic

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/zap"

	"trunkline/loadtest/clock"
	"trunkline/loadtest/content"
	"trunkline/loadtest/scenario"
)

const (
	// reopen is the longest that somebody whose live page lost its socket waits
	// before it tries again.
	reopen = 2 * time.Second
	// openSpread is the time over which the sockets are opened at first.
	openSpread = 2 * time.Second
)

// sockets holds t.Open WebSockets, and has a message echoed on each every
// t.Every.
func (l *Load) sockets(ctx context.Context, t scenario.Traffic) {
	var wg sync.WaitGroup
	for i := range t.Open {
		k := &socket{load: l, t: t, site: l.Sites[i%len(l.Sites)], kind: l.Meter.kind(t.Kind), id: content.ID{Object: l.object()}}
		k.id.Device = k.site.Content
		wg.Go(func() { k.hold(ctx) })
	}
	wg.Wait()
}

// socket is one live page. Its messages are numbered over all its connections.
type socket struct {
	load *Load
	t    scenario.Traffic
	site Site
	kind *kind
	id   content.ID
	next uint64
}

func (k *socket) hold(ctx context.Context) {
	due := time.Now().Add(rand.N(min(openSpread, k.t.Every)))
	for clock.Until(ctx, due) {
		asked := time.Now()
		ws, entry, bad := k.dial(ctx)
		if bad.code != "" {
			// A page that has no socket has no messages; each that was due counts.
			back := time.Now().Add(rand.N(reopen))
			for ; due.Before(back) && ctx.Err() == nil; due = due.Add(k.t.Every) {
				k.kind.lost(due, asked, k.site, bad)
			}
			continue
		}
		due = k.talk(ctx, ws, entry, due)
	}
}

func (k *socket) dial(ctx context.Context) (ws *websocket.Conn, entry string, bad failure) {
	ctx, cancel := context.WithTimeout(ctx, k.load.Timeout)
	defer cancel()
	var w way
	ws, err := k.site.WebSocket(w.entering(ctx), "/live")
	entry = w.entry()
	if err != nil {
		k.load.Log.Warn("no WebSocket", zap.String("entry", entry), zap.Error(err))
		return nil, entry, failed(unopened(err), entry, err.Error())
	}
	ws.SetReadLimit(2 * int64(max(k.t.Size, 1<<10)))
	return ws, entry, failure{}
}

// talk sends messages when they are due until the socket breaks or ctx ends, and
// returns when the next one is due.
func (k *socket) talk(ctx context.Context, ws *websocket.Conn, entry string, due time.Time) time.Time {
	defer func() { _ = ws.CloseNow() }()
	k.load.Meter.sockets.Inc()
	defer k.load.Meter.sockets.Dec()
	e := &echoes{kind: k.kind, site: k.site, id: k.id, entry: entry, since: time.Now(), next: k.next, due: make(map[uint64]time.Time)}
	// Beyond ctx: the last messages are to have their answers.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	over := make(chan struct{})
	go func() {
		defer close(over)
		e.read(life, ws)
	}()
	for ; ; due = due.Add(k.t.Every) {
		if !k.waits(ctx, due, over) {
			break
		}
		e.sent(k.next, due)
		write, cancel := context.WithTimeout(life, k.load.Timeout)
		err := ws.Write(write, websocket.MessageBinary, content.Message(k.id, k.next, int(k.t.Size)))
		cancel()
		k.next++
		if err != nil {
			due = due.Add(k.t.Every)
			break
		}
	}
	if ctx.Err() != nil {
		e.settle(k.load.Timeout, over)
		_ = ws.Close(websocket.StatusNormalClosure, "") // whoever closed first
	}
	_ = ws.CloseNow()
	<-over
	if ctx.Err() == nil {
		k.load.Log.Info("WebSocket ended", zap.String("entry", entry), zap.Uint32("content", k.site.Content), zap.String("by", e.end))
		if k.load.Meter.Closed != nil {
			k.load.Meter.Closed(e.restart)
		}
	}
	if e.restart {
		e.missing(CodeRestart, e.end)
	} else {
		e.missing(codeLost, e.end)
	}
	return due
}

func (k *socket) waits(ctx context.Context, due time.Time, over <-chan struct{}) bool {
	t := time.NewTimer(time.Until(due))
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
	case <-over:
	}
	return false
}

// echoes are the messages of one connection that are under way.
type echoes struct {
	kind  *kind
	site  Site
	id    content.ID
	entry string // see Loss
	since time.Time

	end     string // of the connection, in words; read leaves it
	restart bool   // and whether that was a close frame with 1012

	mu   sync.Mutex
	next uint64 // the echo that is due next
	due  map[uint64]time.Time
}

func (e *echoes) sent(n uint64, due time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.due[n] = due
	e.kind.recorder.Sent(1)
}

// read takes echoes until the socket is gone.
func (e *echoes) read(ctx context.Context, ws *websocket.Conn) {
	for {
		_, b, err := ws.Read(ctx)
		if err != nil {
			e.end, e.restart = err.Error(), websocket.CloseStatus(err) == websocket.StatusServiceRestart
			return
		}
		e.came(b, time.Now())
	}
}

// came counts one: messages arrive in order, once, and as they were.
func (e *echoes) came(b []byte, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n, ok := content.MessageNumber(e.id, b)
	size := int64(len(b))
	due, open := e.due[n]
	switch {
	case !ok:
		e.kind.check(now, outcome{Corrupted: size})
	case !open: // or another connection's
		e.kind.check(now, outcome{Duplicated: size})
	default:
		for ; e.next < n; e.next++ {
			if at, open := e.due[e.next]; open {
				e.kind.failed(at, e.site, failure{code: codeBytes, entry: e.entry})
				e.kind.check(at, outcome{Lost: size})
				e.answeredLocked(e.next)
			}
		}
		e.next = n + 1
		e.kind.ok(due, now.Sub(due), size)
		e.answeredLocked(n)
	}
}

// answeredLocked says that a message has been counted.
func (e *echoes) answeredLocked(n uint64) {
	delete(e.due, n)
	e.kind.recorder.Sent(-1)
}

func (e *echoes) open() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.due)
}

// settle waits for the echoes that are under way.
func (e *echoes) settle(patience time.Duration, over <-chan struct{}) {
	late := time.NewTimer(patience)
	defer late.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for e.open() > 0 {
		select {
		case <-tick.C:
		case <-over:
			return
		case <-late.C:
			e.missing(codeTimeout, "")
			return
		}
	}
}

// missing counts the messages whose echo will not come, and why not.
func (e *echoes) missing(code, end string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	why := failed(code, e.entry, end)
	why.open = e.since
	for n, due := range e.due {
		e.kind.failed(due, e.site, why)
		e.answeredLocked(n)
	}
}

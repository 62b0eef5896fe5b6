package pbxsim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

const (
	liveEvery  = time.Second
	maxMessage = 1 << 20 // of /ws/echo
	wsWrite    = 30 * time.Second
	maxSocket  = 24 * time.Hour
)

// monitor is a message of /ws/calls.
type monitor struct {
	Tick  int    `json:"tick"`
	At    string `json:"at"`
	Calls []call `json:"calls"`
}

func (p *Portal) wsCalls(w http.ResponseWriter, r *http.Request, s session) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer func() { _ = c.CloseNow() }()
	ctx, cancel := context.WithTimeout(r.Context(), maxSocket)
	defer cancel()
	ctx = c.CloseRead(ctx) // ends when the client leaves; it has nothing to say
	p.ops.add(r, s.Who(), "Opened the call monitor")
	every := time.NewTicker(liveEvery)
	defer every.Stop()
	for tick := 1; ; tick++ {
		now := time.Now()
		b, err := json.Marshal(monitor{Tick: tick, At: now.UTC().Format(time.RFC3339), Calls: callsAt(now.Unix())})
		if err != nil {
			panic("BUG: marshal own calls: " + err.Error())
		}
		if !send(ctx, c, websocket.MessageText, b) {
			return
		}
		select {
		case <-every.C:
		case <-p.stop:
			_ = c.Close(websocket.StatusGoingAway, "the PBX is shutting down")
			return
		case <-ctx.Done():
			return
		}
	}
}

func (p *Portal) wsEcho(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	c.SetReadLimit(maxMessage)
	ctx, cancel := context.WithTimeout(r.Context(), maxSocket)
	defer cancel()
	gone := make(chan struct{})
	goodbye := make(chan struct{})
	go func() { // the loop below is waiting for the client when the portal stops
		defer close(goodbye)
		select {
		case <-p.stop:
			_ = c.Close(websocket.StatusGoingAway, "the PBX is shutting down")
		case <-gone:
		}
	}()
	for {
		kind, b, err := c.Read(ctx)
		if err != nil || !send(ctx, c, kind, b) {
			break
		}
	}
	close(gone)
	<-goodbye
}

func send(ctx context.Context, c *websocket.Conn, kind websocket.MessageType, b []byte) bool {
	ctx, cancel := context.WithTimeout(ctx, wsWrite)
	defer cancel()
	return c.Write(ctx, kind, b) == nil
}

func (p *Portal) eventsSystem(w http.ResponseWriter, r *http.Request, _ session) {
	p.events(w, r, liveEvery, -1, func(tick int, now time.Time) any { return systemAt(tick, now) })
}

func (p *Portal) testEvents(w http.ResponseWriter, r *http.Request) {
	n, ok1 := number(w, r, "n", 10, 0, 100000)
	ms, ok2 := number(w, r, "ms", 100, 0, 60000)
	if !ok1 || !ok2 {
		return
	}
	p.events(w, r, time.Duration(ms)*time.Millisecond, n, func(tick int, _ time.Time) any {
		return map[string]int{"tick": tick}
	})
}

// events sends n server-sent events (WHATWG HTML, section 9.2); n < 0: until
// the client or the portal leaves.
func (p *Portal) events(w http.ResponseWriter, r *http.Request, every time.Duration, n int, data func(int, time.Time) any) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	rc := http.NewResponseController(w)
	if _, err := io.WriteString(w, "retry: 2000\n\n"); err != nil {
		return
	}
	for tick := 1; n < 0 || tick <= n; tick++ {
		b, err := json.Marshal(data(tick, time.Now()))
		if err != nil {
			panic("BUG: marshal own event: " + err.Error())
		}
		if _, err := fmt.Fprintf(w, "id: %d\nevent: tick\ndata: %s\n\n", tick, b); err != nil {
			return
		}
		if err := rc.Flush(); err != nil {
			return
		}
		if p.wait(r, every) != nil {
			return
		}
	}
}

var errLeft = errors.New("the client left, or the portal stops")

// wait is a sleep that ends early, with an error, when nobody waits any more.
func (p *Portal) wait(r *http.Request, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-r.Context().Done():
		return errLeft
	case <-p.stop:
		return errLeft
	}
}

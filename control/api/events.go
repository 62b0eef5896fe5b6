package api

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

const (
	heartbeatEvery = controlapi.HeartbeatEvery * time.Second
	eventTimeout   = 10 * time.Second // for a reader to take what is written
	streamsPerUser = 20
	streamsInAll   = 2000
)

// events streams the changes of the caller's devices, or of those of the
// accounts below, as server-sent events.
// It ends when fleet closes the watch, when the session ends, when the client
// goes, or when the client does not take an event in time.
func (a *api) events(x *exchange, r *http.Request, who fleet.Principal, q controlapi.WatchQuery) error {
	if err := a.streams.take(who.User); err != nil {
		return err
	}
	defer a.streams.free(who.User)
	x.streamed = true
	changes := a.fleet.WatchFor(r.Context(), who, fleet.Watched{Below: q.Scope == "sub"}) // from here on nothing is missed: the answer's header says so
	h := x.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	if r.ProtoMajor == 1 {
		h.Set("Connection", "close") // the write deadline must not outlive the stream
	}
	x.WriteHeader(http.StatusOK)
	if flush(x, ": devices\n\n") != nil {
		return nil
	}
	heartbeat := time.NewTicker(heartbeatEvery)
	defer heartbeat.Stop()
	for {
		var text string
		select {
		case <-r.Context().Done():
			return nil
		case e, open := <-changes:
			if !open {
				return nil
			}
			b, err := json.Marshal(a.deviceEvent(e))
			if err != nil {
				return fmt.Errorf("encode event: %w", err)
			}
			text = "event: device\ndata: " + string(b) + "\n\n"
		case <-heartbeat.C:
			if _, err := a.authenticate(r); err != nil {
				return err // signed out or removed meanwhile
			}
			text = ": still here\n\n"
		}
		if flush(x, text) != nil {
			return nil // the client is gone or stuck; the deadline frees what it held
		}
	}
}

func flush(x *exchange, text string) error {
	c := http.NewResponseController(x)
	// Not every ResponseWriter knows deadlines; the server's own timeout holds then.
	_ = c.SetWriteDeadline(time.Now().Add(eventTimeout))
	if _, err := io.WriteString(x, text); err != nil {
		return err
	}
	if err := c.Flush(); err != nil {
		return err
	}
	_ = c.SetWriteDeadline(time.Time{}) // HTTP/2 resets a stream at its deadline, also one that writes nothing
	return nil
}

// streams counts open event streams: each holds a goroutine and a watch.
type streams struct {
	mu    sync.Mutex // guards all below
	total int
	users map[id.User]int
}

func newStreams() *streams { return &streams{users: map[id.User]int{}} }

func (s *streams) take(u id.User) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[u] >= streamsPerUser || s.total >= streamsInAll {
		return fault.New(fault.TooMany, "Too many event streams are open; close one.").After(heartbeatEvery)
	}
	s.total++
	s.users[u]++
	return nil
}

func (s *streams) free(u id.User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.users[u]--; s.users[u] == 0 {
		delete(s.users, u)
	}
}

func (s *streams) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

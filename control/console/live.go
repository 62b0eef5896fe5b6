package console

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"go.uber.org/zap"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

const (
	heartbeat    = 15 * time.Second
	writeTime    = 10 * time.Second // for one event; a browser that takes longer is cut off
	changedEvery = 5 * time.Second  // a page is told so no more often
	maxLiveIDs   = 200
	maxStreams   = 32 // open pages of one person
)

// streams counts the open event streams of each person.
type streams struct {
	mu   sync.Mutex
	open map[id.User]int
}

func (s *streams) enter(u id.User) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[id.User]int{}
	}
	if s.open[u] >= maxStreams {
		return false
	}
	s.open[u]++
	return true
}

func (s *streams) leave(u id.User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[u]--; s.open[u] <= 0 {
		delete(s.open, u)
	}
}

// What a page with an event stream is. That of a device, or of a few, is "".
const (
	listAll    = "all"    // of all devices
	listSome   = "some"   // of those that pass a filter
	listBelow  = "below"  // of the accounts below
	listVisits = "visits" // of visits
	oneBelow   = "one"    // no list: the page of a device of an account below
)

// livePath is the address of a page's event stream: the devices it shows, and
// what it is.
func livePath(ids []id.Device, list string) string {
	v := url.Values{}
	for _, d := range ids {
		v.Add("id", string(d))
	}
	if list != "" {
		v.Set("list", list)
	}
	return address("/live", v)
}

// stream is one open page. It writes
//
//	event: ready    changes are being collected: the page fetches itself anew,
//	                so nothing can fall between the page and the stream
//	event: device   {id, name, status, row} or {id, removed} of a device it shows
//	event: changed  the page may have something to show that no row says: other
//	                members of its list, visits, how many connections are used
//
// and ends when fleet closes the watch; the browser comes back by itself.
type stream struct {
	c       *console
	p       fleet.Principal
	w       *response
	rc      *http.ResponseController
	shows   map[id.Device]bool
	list    string
	changed bool        // the page may have, and has not been told yet
	told    time.Time   // when it was last told so
	due     *time.Timer // when it may be told again
}

type deviceEvent struct {
	ID      id.Device `json:"id"`
	Removed bool      `json:"removed,omitempty"`
	Name    string    `json:"name,omitempty"`
	Status  string    `json:"status,omitempty"`
	Row     string    `json:"row,omitempty"` // <tr>, as the list has it
}

func (c *console) live(w *response, r *http.Request, p fleet.Principal) error {
	s := &stream{c: c, p: p, w: w, rc: http.NewResponseController(w), shows: map[id.Device]bool{}, list: r.URL.Query().Get("list")}
	for _, raw := range r.URL.Query()["id"] {
		var d id.Device
		if err := d.UnmarshalText([]byte(raw)); err != nil || len(s.shows) >= maxLiveIDs {
			return fault.New(fault.Invalid, "The stream's address is damaged. Reload the page.").In("id")
		}
		s.shows[d] = true
	}
	if !c.streams.enter(p.User) {
		return fault.New(fault.TooMany, "You have %d pages open that are updated live; close some.", maxStreams).After(time.Minute)
	}
	defer c.streams.leave(p.User)
	w.live = true
	c.metrics.streams.Inc()
	defer c.metrics.streams.Dec()

	// The watch ends with this function, not with the connection alone.
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	s.run(ctx, sessionToken(r))
	return nil
}

// run ends when the browser is gone or too slow, the session is over or fleet
// closes the watch; none of that is an error to tell anybody.
func (s *stream) run(ctx context.Context, token string) {
	events := s.c.o.Fleet.WatchFor(ctx, s.p, fleet.Watched{Below: s.list == listBelow || s.list == oneBelow, Visits: s.list == "" || s.list == listVisits})
	s.w.Header().Set("Content-Type", "text/event-stream")
	s.w.Header().Set("X-Accel-Buffering", "no")
	// A server's read time-out would end the wait for the browser's hanging up.
	// Not every server has one to take off.
	_ = s.rc.SetReadDeadline(time.Time{})
	// Browsers that lost us together must not come back together.
	hello := fmt.Sprintf("retry: %d\nevent: ready\ndata: {}\n\n", 2000+rand.IntN(3000))
	if s.write(hello) != nil {
		return
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	s.due = time.NewTimer(changedEvery)
	defer s.due.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case e, ok := <-events:
			if !ok {
				return
			}
			err = s.take(e)
		case <-s.due.C:
			err = s.tellChanged()
		case <-beat.C:
			if _, err = s.c.o.Fleet.Authenticate(ctx, token); err == nil {
				err = s.write(": still here\n\n")
			}
		}
		if err != nil {
			return
		}
	}
}

// take tells of a device that the page shows, and that the page may be another one.
func (s *stream) take(e fleet.DeviceEvent) error {
	s.changed = s.changed || s.changes(e)
	if s.shows[e.Device.ID] && !e.Visit {
		if err := s.device(e); err != nil {
			return err
		}
	}
	return s.tellChanged()
}

// changes reports whether e changes more of the page than a row. A device that it
// does not show can still change a list: by being new, by going, or by passing a
// filter now.
func (s *stream) changes(e fleet.DeviceEvent) bool {
	shown := s.shows[e.Device.ID]
	switch s.list {
	case "", oneBelow:
		return e.Visit && shown // anything else of its device has the whole page fetched
	case listVisits:
		return e.Visit || e.Removed
	case listSome:
		return !shown || e.Edited
	}
	return e.Edited || e.Removed && !shown
}

func (s *stream) device(e fleet.DeviceEvent) error {
	d := e.Device
	out := deviceEvent{ID: d.ID, Removed: e.Removed}
	if !e.Removed {
		v := s.c.deviceView(s.p, d)
		v.Pick = s.list != "" && s.list != oneBelow
		row, err := s.c.part("device-row", v)
		if err != nil {
			s.c.log.Error("render a live row", zap.Error(err))
			return err
		}
		out.Name, out.Status, out.Row = plain(v.Label()), v.Status, row
	}
	b, err := json.Marshal(out)
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	return s.write("event: device\ndata: " + string(b) + "\n\n")
}

// tellChanged tells of the first change at once and of those that follow it
// together, a little later: the page is fetched anew for each.
func (s *stream) tellChanged() error {
	if !s.changed {
		return nil
	}
	if since := s.c.now().Sub(s.told); since < changedEvery {
		s.due.Reset(changedEvery - since)
		return nil
	}
	s.changed, s.told = false, s.c.now()
	return s.write("event: changed\ndata: {}\n\n")
}

func (s *stream) write(event string) error {
	if err := s.rc.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	if _, err := s.w.Write([]byte(event)); err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	if err := s.rc.Flush(); err != nil {
		return fmt.Errorf("flush event: %w", err)
	}
	// HTTP/2 resets a stream at its deadline, also one that writes nothing.
	if err := s.rc.SetWriteDeadline(time.Time{}); err != nil {
		return fmt.Errorf("lift deadline: %w", err)
	}
	return nil
}

package controlapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	maxEventSize = 64 << 10
	watchSilence = 3 * HeartbeatEvery * time.Second
)

// ErrSilent means that an event stream stopped sending even its heartbeats.
var ErrSilent = errors.New("event stream fell silent")

// WatchQuery says whose devices are watched.
type WatchQuery struct {
	Scope string `query:"scope,omitempty" enum:"own,sub" example:"sub" doc:"own (default): the account's devices; sub: those of the accounts below."`
}

// Watch is WatchFor of the account's own devices.
func (c *Client) Watch(ctx context.Context, ready func(), fn func(DeviceEvent) error) error {
	return c.WatchFor(ctx, WatchQuery{}, ready, fn)
}

// WatchFor calls fn with every change of a device the session may see. ready, if
// not nil, is called once changes are being collected: list the devices then,
// and nothing can be missed. Watch returns nil when control ended the stream,
// because the watcher was too slow or control restarts: start over with ready
// and the list. It returns fn's error if fn returns one.
func (c *Client) WatchFor(ctx context.Context, q WatchQuery, ready func(), fn func(DeviceEvent) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(watchSilence, func() { cancel(ErrSilent) })
	defer silence.Stop()

	resp, err := c.send(ctx, http.MethodGet, "/events", q.values(), nil, "text/event-stream")
	if err != nil {
		return errors.Join(err, silent(ctx))
	}
	defer resp.Body.Close()
	if ready != nil {
		ready()
	}
	err = readEvents(resp.Body, func() { silence.Reset(watchSilence) }, func(data string) error {
		var e DeviceEvent
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return fmt.Errorf("decode event: %w", err)
		}
		return fn(e)
	})
	if s := silent(ctx); s != nil {
		return s
	}
	return err
}

func silent(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), ErrSilent) {
		return ErrSilent
	}
	return nil
}

// readEvents reads server-sent events (HTML Living Standard, section 9.2.6) as
// control writes them and hands on the data of "device" events. alive is
// called at every line. It returns nil at the end of r; an event without its
// closing empty line is dropped, as the standard says.
func readEvents(r io.Reader, alive func(), fn func(data string) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), maxEventSize)
	var kind string
	var data strings.Builder
	for lines.Scan() {
		alive()
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			kind = value
		case "data":
			if data.Len()+len(value) > maxEventSize {
				return fmt.Errorf("read event: %w", errTooLarge)
			}
			if data.Len() > 0 {
				data.WriteByte('\n')
			}
			data.WriteString(value)
		case "":
			if lines.Text() != "" { // a comment
				continue
			}
			if kind == "device" && data.Len() > 0 {
				if err := fn(data.String()); err != nil {
					return err
				}
			}
			kind = ""
			data.Reset()
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read event: %w", err)
	}
	return nil
}

package controlapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
)

// answering is a transport that answers with a stream.
type answering func(*http.Request) *http.Response

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) { return a(r), nil }

func streamOf(body io.ReadCloser) answering {
	return func(r *http.Request) *http.Response {
		context.AfterFunc(r.Context(), func() { body.Close() }) // as the real transport does
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: body, Request: r}
	}
}

func watcher(t testing.TB, tr http.RoundTripper) *controlapi.Client {
	t.Helper()
	c, err := controlapi.NewClient("https://console.example.com", &http.Client{Transport: tr})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const gone = `{"id":"dev_0000000000000000","removed":true}`

func TestWatch(t *testing.T) {
	tests := []struct{ name, stream, want string }{
		{"one event", "event: device\ndata: " + gone + "\n\n", "dev_0000000000000000 true;"},
		{"comments and unknown kinds", ": hi\n\nevent: weather\ndata: rain\n\nevent: device\ndata: " + gone + "\n\n: bye\n\n", "dev_0000000000000000 true;"},
		{"CRLF and fields we do not use", "retry: 1\r\nid: 4\r\nevent: device\r\ndata: " + gone + "\r\n\r\n", "dev_0000000000000000 true;"},
		{"data in two lines", "event: device\ndata: {\"id\":\ndata: \"dev_0000000000000000\"}\n\n", "dev_0000000000000000 false;"},
		{"cut off before its empty line", "event: device\ndata: " + gone + "\n", ""},
		{"nothing", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got strings.Builder
			var ready bool
			c := watcher(t, streamOf(io.NopCloser(strings.NewReader(tt.stream))))
			err := c.Watch(t.Context(), func() { ready = true }, func(e controlapi.DeviceEvent) error {
				fmt.Fprintf(&got, "%s %v;", e.ID, e.Removed)
				return nil
			})
			if err != nil || !ready || got.String() != tt.want {
				t.Fatalf("%v, ready %v, %q", err, ready, got.String())
			}
		})
	}
}

func TestWatchErrors(t *testing.T) {
	t.Run("an event that is none", func(t *testing.T) {
		c := watcher(t, streamOf(io.NopCloser(strings.NewReader("event: device\ndata: {\"id\":7}\n\n"))))
		if err := c.Watch(t.Context(), nil, func(controlapi.DeviceEvent) error { return nil }); err == nil {
			t.Fatal("no error")
		}
	})
	t.Run("an event without end", func(t *testing.T) {
		c := watcher(t, streamOf(io.NopCloser(strings.NewReader("data: "+strings.Repeat("x", 1<<20)))))
		if err := c.Watch(t.Context(), nil, nil); err == nil {
			t.Fatal("no error")
		}
	})
	t.Run("lines without end", func(t *testing.T) {
		c := watcher(t, streamOf(io.NopCloser(strings.NewReader(strings.Repeat("data: xxxxxxxxxxxxxxxx\n", 1<<13)))))
		if err := c.Watch(t.Context(), nil, nil); err == nil {
			t.Fatal("no error")
		}
	})
	t.Run("the caller's own", func(t *testing.T) {
		enough := errors.New("enough")
		c := watcher(t, streamOf(io.NopCloser(strings.NewReader("event: device\ndata: "+gone+"\n\n"))))
		if err := c.Watch(t.Context(), nil, func(controlapi.DeviceEvent) error { return enough }); !errors.Is(err, enough) {
			t.Fatal(err)
		}
	})
	t.Run("no session", func(t *testing.T) {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			fault.ProblemOf(fault.New(fault.SignInNeeded, "Sign in."), "").Write(w)
		})
		if err := c.Watch(t.Context(), nil, nil); fault.CodeOf(err) != fault.SignInNeeded {
			t.Fatal(err)
		}
	})
}

// A stream that sends not even heartbeats is dead, though nobody closed it.
func TestWatchOfASilentStreamEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		go func() {
			for range 4 {
				time.Sleep(controlapi.HeartbeatEvery * time.Second)
				_, _ = io.WriteString(w, ": still here\n\n")
			}
		}()
		start := time.Now()
		err := watcher(t, streamOf(r)).Watch(t.Context(), nil, nil)
		if !errors.Is(err, controlapi.ErrSilent) {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 7*controlapi.HeartbeatEvery*time.Second {
			t.Fatalf("gave up after %s", took)
		}
	})
}

// Whatever a stream says, only well-formed devices come out of it.
func FuzzWatch(f *testing.F) {
	f.Add("event: device\ndata: " + gone + "\n\n")
	f.Add(": hi\n\nevent:device\r\ndata:{}\r\n\r\n")
	f.Add("data\n\nevent\n\n\x00:\n")
	f.Fuzz(func(t *testing.T, stream string) {
		c := watcher(t, streamOf(io.NopCloser(strings.NewReader(stream))))
		_ = c.Watch(t.Context(), nil, func(e controlapi.DeviceEvent) error {
			d := e.ID
			if e.ID != "" && d.UnmarshalText([]byte(e.ID)) != nil {
				t.Fatalf("device %q", e.ID)
			}
			return nil
		})
	})
}

// A problem document cannot make a client panic, wait for ever or report success.
func FuzzProblem(f *testing.F) {
	f.Add(403, `{"code":"rejected","detail":"No.","retry_after":5}`)
	f.Add(503, `{"code":"draining","retry_after":9223372036854775807}`)
	f.Add(500, `[]`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 300 || status > 599 {
			t.Skip()
		}
		c := watcher(t, answering(func(r *http.Request) *http.Response {
			return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/problem+json"}},
				Body: io.NopCloser(strings.NewReader(body)), Request: r}
		}))
		_, err := c.Subscription(t.Context())
		if err == nil {
			t.Fatal("no error")
		}
		var fe *fault.Error
		if errors.As(err, &fe) && (fe.Code == "" || fe.Retry < 0 || fe.Retry > time.Hour) {
			t.Fatalf("%+v", fe)
		}
	})
}

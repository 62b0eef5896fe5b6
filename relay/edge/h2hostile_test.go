package edge_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/relay/edge"
)

var goodHead = []string{":method", "GET", ":scheme", "https", ":authority", site, ":path", "/", "cookie", cookie}

// ends reads until the relay closes the connection.
func ends(t *testing.T, f *http2.Framer) {
	t.Helper()
	for {
		if _, err := f.ReadFrame(); err != nil {
			if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
				t.Error("the connection is not given up")
			}
			return
		}
	}
}

// A browser that asks and does not take the answer loses its stream.
func TestH2SlowRead(t *testing.T) {
	w := newWorld(t, endless(t, nil), func(o *edge.Options) { o.Limits.Progress = 200 * time.Millisecond })
	c, f := w.h2raw()
	defer c.Close()
	_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(goodHead), EndHeaders: true, EndStream: true})
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if r, ok := frame.(*http2.RSTStreamFrame); ok && r.StreamID == 1 {
			break
		}
	}
	eventually(t, "the stream at the agent is reset", func() bool { return w.resets.Load() > 0 })
	if w.h2errors("slow_read") == 0 {
		t.Error("not counted")
	}
}

// A head that does not come to its end has the time that one of HTTP/1.1 has, at
// whatever it stands still.
func TestH2SlowHead(t *testing.T) {
	first, rest := block(goodHead[:4]), block(goodHead[4:])
	for name, begin := range map[string]func(*tls.Conn, *http2.Framer){
		"between frames": func(_ *tls.Conn, f *http2.Framer) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: first, EndStream: true})
		},
		"within a frame": func(c *tls.Conn, _ *http2.Framer) {
			var b bytes.Buffer
			_ = http2.NewFramer(&b, nil).WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: append(first, rest...), EndHeaders: true, EndStream: true})
			_, _ = c.Write(b.Bytes()[:b.Len()-1])
		},
		"a byte at a time": func(_ *tls.Conn, f *http2.Framer) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: first, EndStream: true})
			go func() {
				for _, b := range bytes.Repeat(rest, 100) {
					if f.WriteContinuation(1, false, []byte{b}) != nil {
						return
					}
					time.Sleep(20 * time.Millisecond)
				}
			}()
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "127.0.0.1:1", func(o *edge.Options) { o.Limits.Header = 200 * time.Millisecond })
			c, f := w.h2raw()
			defer c.Close()
			begin(c, f)
			if code := goneAway(t, f); code != http2.ErrCodeEnhanceYourCalm {
				t.Errorf("GOAWAY says %v", code)
			}
			ends(t, f)
			if n := w.h2errors("slow_head"); n != 1 {
				t.Errorf("counted %v times", n)
			}
		})
	}
}

// A body that stands still is answered 408 in its stream.
func TestH2SlowBody(t *testing.T) {
	w := newWorld(t, h2portal(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }),
		func(o *edge.Options) { o.Limits.Progress = 200 * time.Millisecond })
	r, up := io.Pipe()
	defer up.Close()
	go func() { _, _ = io.WriteString(up, strings.Repeat("x", 20_000)) }()
	if resp, _ := w.do(w.h2client(), w.request("POST", "/", r)); resp.StatusCode != http.StatusRequestTimeout {
		t.Errorf("answered %s", resp.Status)
	}
	if w.h2errors("slow_body") == 0 {
		t.Error("not counted")
	}
}

// A head without an end is given up long before it is large.
func TestH2HeaderFlood(t *testing.T) {
	w := newWorld(t, "127.0.0.1:1")
	c, f := w.h2raw()
	defer c.Close()
	go func() {
		more := block([]string{"x", strings.Repeat("y", 15_000)})
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(goodHead)})
		for range 2_000 { // 30 MB
			if f.WriteContinuation(1, false, more) != nil {
				return
			}
		}
		_ = f.WriteContinuation(1, true, nil)
	}()
	ends(t, f)
	if w.dials.Load() > 0 {
		t.Error("it was served")
	}
}

// Who asks for answers on the connection itself and reads none is cut off.
func TestH2PingFlood(t *testing.T) {
	w := newWorld(t, "127.0.0.1:1")
	c, _ := w.h2raw()
	defer c.Close()
	var batch bytes.Buffer
	f := http2.NewFramer(&batch, nil)
	for range 500 {
		_ = f.WritePing(false, [8]byte{})
	}
	var err error
	for range 2_000 { // a million
		if _, err = c.Write(batch.Bytes()); err != nil {
			break
		}
	}
	if ne := net.Error(nil); err == nil || errors.As(err, &ne) && ne.Timeout() {
		t.Errorf("the connection is not given up: %v", err)
	}
}

// Who floods with frames that cost more to heed than to say is told so and
// counted.
func TestH2Floods(t *testing.T) {
	open := func(f *http2.Framer) {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block([]string{":method", "POST", ":scheme", "https", ":authority", site, ":path", "/", "cookie", cookie}), EndHeaders: true})
	}
	for reason, flood := range map[string]func(f *http2.Framer, i uint32){
		"settings_flood":   func(f *http2.Framer, _ uint32) { _ = f.WriteSettings() },
		"ping_flood":       func(f *http2.Framer, _ uint32) { _ = f.WritePing(false, [8]byte{}) },
		"aside_flood":      func(f *http2.Framer, i uint32) { _ = f.WritePriority(2*i+1, http2.PriorityParam{Weight: 1}) },
		"empty_data_flood": func(f *http2.Framer, _ uint32) { _ = f.WriteData(1, false, nil) },
		"rapid_reset": func(f *http2.Framer, i uint32) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 3, BlockFragment: block(goodHead), EndHeaders: true, EndStream: true})
			_ = f.WriteRSTStream(2*i+3, http2.ErrCodeCancel)
		},
	} {
		t.Run(reason, func(t *testing.T) {
			release := make(chan struct{})
			w := newWorld(t, "127.0.0.1:1", func(o *edge.Options) {
				o.Dial = func(context.Context, id.Device, edge.Header) (edge.Stream, error) {
					<-release // a stream that ends would speak for the browser
					return nil, fault.New(fault.PortalRefused, "The portal refuses connections.")
				}
			})
			defer close(release)
			c, f := w.h2raw()
			defer c.Close()
			go func() {
				var batch bytes.Buffer
				many := http2.NewFramer(&batch, nil)
				open(many)
				for i := range uint32(2_000) {
					flood(many, i)
				}
				_, _ = c.Write(batch.Bytes())
			}()
			if code := goneAway(t, f); code != http2.ErrCodeEnhanceYourCalm {
				t.Errorf("GOAWAY says %v", code)
			}
			ends(t, f)
			if n := w.h2errors(reason); n != 1 {
				t.Errorf("counted %v times", n)
			}
		})
	}
}

// goneAway reads up to a GOAWAY.
func goneAway(t *testing.T, f *http2.Framer) http2.ErrCode {
	t.Helper()
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatalf("no GOAWAY: %v", err)
		}
		if g, ok := frame.(*http2.GoAwayFrame); ok {
			return g.ErrCode
		}
	}
}

// Who does as browsers do, for long, is left alone: pings now and then, a change
// of settings, a word on each request's priority, and a page left half way.
func TestH2CalmBrowser(t *testing.T) {
	w := newWorld(t, answers(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	c, f := w.h2raw()
	defer c.Close()
	ask := func(i uint32) {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: i, BlockFragment: block(goodHead), EndHeaders: true, EndStream: true})
		_ = f.WriteRawFrame(0x10, 0, 0, []byte{0, 0, 0, byte(i), 'u', '=', '1'}) // PRIORITY_UPDATE, RFC 9218
	}
	last := uint32(1)
	for round := range 10 {
		for range 20 {
			ask(last)
			awaitEnd(t, f, last)
			last += 2
		}
		_ = f.WritePing(false, [8]byte{byte(round)})
		_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(1<<20 + round)})
		for range 30 { // are taken back
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: last, BlockFragment: block(goodHead), EndHeaders: true, EndStream: true})
			_ = f.WriteRSTStream(last, http2.ErrCodeCancel)
			last += 2
		}
	}
	ask(last)
	awaitEnd(t, f, last)
}

// awaitEnd reads up to the end of an answer.
func awaitEnd(t *testing.T, f *http2.Framer, id uint32) {
	t.Helper()
	for {
		switch frame, err := f.ReadFrame(); {
		case err != nil:
			t.Fatal(err)
		case frame.Header().Type == http2.FrameGoAway:
			t.Fatalf("%v before the answer to %d", frame, id)
		case frame.Header().StreamID == id && frame.Header().Flags.Has(http2.FlagDataEndStream) && frame.Header().Type != http2.FrameWindowUpdate:
			return
		}
	}
}

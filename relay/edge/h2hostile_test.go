package edge_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"trunkline/relay/edge"
)

// h2errors is how often a reason has been counted.
func (w *world) h2errors(reason string) float64 {
	w.t.Helper()
	all, err := w.reg.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range all {
		for _, m := range f.GetMetric() {
			if f.GetName() == "trunkline_relay_edge_http2_errors_total" && m.GetLabel()[0].GetValue() == reason {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

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

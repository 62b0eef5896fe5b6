package load_test

import (
	"bytes"
	"net"
	"testing"

	"trunkline/bench/load"
	"trunkline/bench/portal"
)

func portalEndpoint(t *testing.T) load.Endpoint {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go portal.Serve(ln)
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return load.Endpoint{Scheme: "http", Host: "pbx.localhost", Port: port, Headers: map[string]string{"Host": "other.example"}}
}

func TestWire(t *testing.T) {
	e := portalEndpoint(t)
	w, err := e.Dial(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for path, n := range map[string]int64{"/1kb": 1 << 10, "/64kb": 64 << 10, "/bytes?n=0": 0, "/bytes?n=100001": 100001} {
		if err := w.Get(path, n); err != nil {
			t.Error(err)
		}
	}
	if err := w.Send("POST", "/upload", 300001, &load.Body{Left: 300001}); err != nil {
		t.Error(err)
	}
	if err := w.Success("POST /upload", int64(len("300001"))); err != nil {
		t.Error(err)
	}
	if err := load.GetMany([]*load.Wire{w}, 3, "/1kb", 1<<10); err != nil {
		t.Error(err)
	}
	if err := w.Get("/1kb", 7); err == nil {
		t.Error("a body of another length passes")
	}
	if w, err = e.Dial(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Get("/else", 0); err == nil {
		t.Error("a 404 passes for a success")
	}
}

func TestWebSocket(t *testing.T) {
	e := portalEndpoint(t)
	w, err := e.Dial(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Upgrade("/ws"); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 125, 126, 70, portal.MaxFrame} {
		if err := w.Echo(bytes.Repeat([]byte("x"), n)); err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if w, err = e.Dial(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Upgrade("/1kb"); err == nil {
		t.Error("a page passes for a WebSocket")
	}
}

func TestPage(t *testing.T) {
	e := portalEndpoint(t)
	if err := load.OpenPage(t.Context(), e, nil); err != nil {
		t.Error(err)
	}
	e.Port = "1"
	if err := load.OpenPage(t.Context(), e, nil); err == nil {
		t.Error("a page came from nowhere")
	}
}

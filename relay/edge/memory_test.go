package edge_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Neither direction holds a body: memory does not grow with its size.
func TestMemoryIsBounded(t *testing.T) {
	size := int64(1 << 30)
	if testing.Short() || raceEnabled {
		size = 128 << 20
	}
	w := newWorld(t, rawPortal(t, func(c net.Conn, r *bufio.Reader) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			if req.Method == "POST" {
				n, _ := io.Copy(io.Discard, req.Body)
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%d", len(fmt.Sprint(n)), n)
				continue
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
			_, _ = io.CopyN(c, zeros{}, size)
		}
	}), loopback)
	var peak atomic.Uint64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	wg.Go(func() {
		var m runtime.MemStats
		for {
			runtime.ReadMemStats(&m)
			peak.Store(max(peak.Load(), m.HeapInuse+m.StackInuse))
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	begin := time.Now()
	resp, err := w.plainDo(w.plainRequest("GET", nil))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != size {
		t.Errorf("down: %d bytes, %v", n, err)
	}
	resp.Body.Close()
	down := time.Since(begin)
	begin = time.Now()
	if resp, err = w.plainDo(w.plainRequest("POST", io.LimitReader(zeros{}, size))); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != fmt.Sprint(size) {
		t.Errorf("up: %s bytes, %v", b, err)
	}
	resp.Body.Close()
	close(stop)
	wg.Wait()
	grown := int64(peak.Load()) - int64(before.HeapInuse+before.StackInuse)
	t.Logf("%d MiB down in %v, up in %v; memory grew by %d KiB", size>>20, down, time.Since(begin), grown>>10)
	if grown > 64<<20 { // a collector that gets no processor is late
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

package edge_test

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"testing"

	"go.uber.org/zap"

	"trunkline/internal/id"
	"trunkline/relay/edge"
)

// undriven has goroutines wait for streams: loops hear of what comes on a test's
// stream only when the test looks, once in a millisecond.
func undriven(o *edge.Options) {
	dial := o.Dial
	o.Dial = func(ctx context.Context, d id.Device, h edge.Header) (edge.Stream, error) {
		s, err := dial(ctx, d, h)
		if err != nil {
			return nil, err
		}
		return s.(*driven).watched, nil
	}
}

// BenchmarkProtocols compares HTTP/1.1 and HTTP/2 over TLS, browser and portal
// included: the ratio is what counts.
func BenchmarkProtocols(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 20} {
		w := newWorld(b, h2portal(b, func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Length", strconv.Itoa(size))
			_, _ = io.Copy(rw, io.LimitReader(zeros{}, int64(size)))
		}), func(o *edge.Options) { o.Log = zap.NewNop() }, undriven)
		for name, c := range map[string]*http.Client{"h1": w.client(), "h2": w.h2client()} {
			b.Run(name+"/"+strconv.Itoa(size>>10)+"KiB", func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					resp, err := c.Do(w.request("GET", "/", nil))
					if err != nil {
						b.Fatal(err)
					}
					if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != int64(size) {
						b.Fatal(n, err)
					}
					_ = resp.Body.Close()
				}
			})
		}
	}
}

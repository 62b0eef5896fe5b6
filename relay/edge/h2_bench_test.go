package edge_test

import (
	"io"
	"net/http"
	"strconv"
	"testing"

	"go.uber.org/zap"

	"trunkline/relay/edge"
)

// BenchmarkProtocols compares HTTP/1.1 and HTTP/2 over TLS, browser and portal
// included: the ratio is what counts.
func BenchmarkProtocols(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 20} {
		w := newWorld(b, h2portal(b, func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Length", strconv.Itoa(size))
			_, _ = io.Copy(rw, io.LimitReader(zeros{}, int64(size)))
		}), func(o *edge.Options) { o.Log = zap.NewNop() })
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

package edge_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"trunkline/relay/edge"
)

// An answer that ends just as the edge begins to watch for its browser's going
// is whole: what the watch finds on the stream then is the answer's end.
func TestH2WatchThatComesAtTheEnd(t *testing.T) {
	const watch, crowd, each = time.Millisecond, 16, 60
	page := strings.Repeat("p", 2<<10)
	w := newWorld(t, h2portal(t, func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(rw, page)
	}), func(o *edge.Options) { o.Limits.Watch = watch })
	c := w.h2client()
	var wg sync.WaitGroup
	for range crowd {
		wg.Go(func() {
			for range each {
				resp, err := c.Do(w.request("GET", "/", nil))
				if err != nil {
					t.Error(err)
					return
				}
				b, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || string(b) != page {
					t.Errorf("%d bytes and %v", len(b), err)
				}
			}
		})
	}
	wg.Wait()
}

package edge_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"trunkline/internal/id"
	"trunkline/relay/edge"
)

// slowHead is a stream that takes its time for the first write.
type slowHead struct {
	edge.Stream
	first *bool
}

func (s slowHead) Write(p []byte) (int, error) {
	if *s.first {
		*s.first = false
		time.Sleep(4 * watchAfter) // the watch over the exchange has begun by then
	}
	return s.Stream.Write(p)
}

const watchAfter = 20 * time.Millisecond

// Whoever looks for the browser's going leaves a body alone that is still to
// be read, and the body arrives as it was sent.
func TestUploadBehindASlowHead(t *testing.T) {
	w := newWorld(t, httpPortal(t, func(rw http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		_, err := io.Copy(h, r.Body)
		_, _ = fmt.Fprintf(rw, "%x %v", h.Sum(nil), err)
	}), func(o *edge.Options) {
		o.Limits.Watch = watchAfter
		dial := o.Dial
		o.Dial = func(ctx context.Context, d id.Device, h edge.Header) (edge.Stream, error) {
			s, err := dial(ctx, d, h)
			first := true
			return slowHead{s, &first}, err
		}
	})
	var b strings.Builder
	for i := range 60_000 {
		_, _ = fmt.Fprintf(&b, "%08d", i)
	}
	want := fmt.Sprintf("%x <nil>", sha256.Sum256([]byte(b.String())))
	for name, c := range map[string]*http.Client{"h1": w.client(), "h2": w.h2client()} {
		for _, body := range []io.Reader{strings.NewReader(b.String()), io.MultiReader(strings.NewReader(b.String()))} {
			r := w.request("POST", "/", body)
			r.Close = name == "h1" // a stream of its own each time
			if _, got := w.do(c, r); got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
			w.edge.Forget("dev_0123456789abcdef")
		}
	}
}

// A browser that goes while the portal thinks about what it has sent is noticed
// even if the watch began while it was still sending.
func TestGoneAfterASlowUpload(t *testing.T) {
	for name, browser := range map[string]func(*world) *http.Client{"h1": (*world).client, "h2": (*world).h2client} {
		t.Run(name, func(t *testing.T) {
			whole := make(chan struct{})
			w := newWorld(t, httpPortal(t, func(rw http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				close(whole)
				<-r.Context().Done() // the relay's word that nobody waits any more
			}), func(o *edge.Options) { o.Limits.Watch = watchAfter })
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			body, send := io.Pipe()
			go func() {
				_, _ = send.Write(make([]byte, 64<<10))
				time.Sleep(4 * watchAfter) // the watch over the exchange has begun by then
				_ = send.Close()
				<-whole
				leave()
			}()
			if resp, err := browser(w).Do(w.request("POST", "/", body).WithContext(ctx)); err == nil {
				_ = resp.Body.Close()
				t.Errorf("it was answered: %s", resp.Status)
			}
			eventually(t, "its event", func() bool { // and not when the portal's time is over
				all := w.logs.FilterMessage("request").All()
				return len(all) == 1 && all[0].ContextMap()["code"] == "browser_gone"
			})
		})
	}
}

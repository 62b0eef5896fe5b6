package traffic_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"trunkline/internal/fault"
	"trunkline/internal/visitor"
	"trunkline/loadtest/content"
	"trunkline/loadtest/result"
	"trunkline/loadtest/scenario"
	"trunkline/loadtest/traffic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const pbx = 7 // whose bytes the site serves

// world is a site, served by h, and a load on it.
type world struct {
	*traffic.Load
	recorder *result.Recorder
	reg      *prometheus.Registry
}

func newWorld(t *testing.T, h http.HandlerFunc) *world {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	v := &visitor.Visitor{Client: &http.Client{Transport: &http.Transport{}}, Origin: s.URL}
	t.Cleanup(v.CloseIdleConnections)
	w := &world{recorder: result.NewRecorder(time.Now(), time.Second), reg: prometheus.NewRegistry()}
	w.Load = &traffic.Load{
		Sites: []traffic.Site{{Visitor: v, Content: pbx}}, Timeout: 20 * time.Second, Meter: traffic.NewMeter(w.recorder, w.reg), Log: zap.NewNop(),
	}
	return w
}

// until makes load until there was enough of it, and is what came of it.
func (w *world) until(t *testing.T, stream scenario.Traffic, enough func(result.Tally) bool) result.Tally {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx, t.Context(), []scenario.Traffic{stream}, time.Now().Add(time.Hour))
	}()
	for ctx.Err() == nil && !enough(w.recorder.Kind(stream.Kind).Total()) {
		time.Sleep(5 * time.Millisecond)
	}
	stop()
	<-done
	return w.recorder.Kind(stream.Kind).Total()
}

// asked is the object and the size in a file's path.
func asked(r *http.Request) (id content.ID, size int64) {
	parts := strings.Split(r.URL.Path, "/")
	object, _ := strconv.ParseUint(parts[2], 10, 32)
	if len(parts) > 3 {
		size, _ = strconv.ParseInt(parts[3], 10, 64)
	}
	return content.ID{Device: pbx, Object: uint32(object)}, size
}

func serve(w http.ResponseWriter, r *http.Request) {
	id, size := asked(r)
	_, _ = io.Copy(w, content.Reader(id, size))
}

// What is due is sent though nothing is answered; and what waited has waited
// from when it was due.
func TestOpenLoop(t *testing.T) {
	const waiting = 30
	came, open := make(chan struct{}, 10_000), make(chan struct{})
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		came <- struct{}{}
		<-open
		serve(rw, r)
	})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx, t.Context(), []scenario.Traffic{{Kind: scenario.Download, Rate: 500, Size: 100}}, time.Now().Add(time.Minute))
	}()
	<-came
	first := time.Now()
	for range waiting - 1 {
		<-came
	}
	held := time.Since(first)
	close(open)
	stop()
	<-done
	got := w.recorder.Kind(scenario.Download).Total()
	if got.OK < waiting || got.Failed() != 0 || got.Latency.Quantile(1) < held*98/100 {
		t.Errorf("%d answers, errors %v, the longest took %v; the first was held for %v", got.OK, got.Errors, got.Latency.Quantile(1), held)
	}
}

// What is cut off before its answer has come is in no figure but one of its own:
// it is neither good nor failed, and was due.
func TestCutOff(t *testing.T) {
	came := make(chan struct{}, 10_000)
	w := newWorld(t, func(_ http.ResponseWriter, r *http.Request) {
		came <- struct{}{}
		<-r.Context().Done()
	})
	hard, cut := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(hard, hard, []scenario.Traffic{{Kind: scenario.Download, Rate: 100, Size: 100}}, time.Now().Add(time.Hour))
	}()
	const waiting = 10
	for range waiting {
		<-came
	}
	cut()
	<-done
	if got := w.recorder.Kinds()[scenario.Download]; got.InFlight < waiting || len(got.Steps) != 0 {
		t.Errorf("%d in flight, steps %+v", got.InFlight, got.Steps)
	}
}

// Whatever is wrong with an answer has its name, and its bytes are counted.
func TestWhatIsWrong(t *testing.T) {
	f := func(what string, h http.HandlerFunc, code string, bad func(result.Checked) bool) {
		t.Helper()
		w := newWorld(t, h)
		if code == "timeout" {
			w.Timeout = 300 * time.Millisecond
		}
		got := w.until(t, scenario.Traffic{Kind: scenario.Download, Rate: 100, Size: 4096}, func(t result.Tally) bool { return t.Failed() >= 5 })
		if got.OK != 0 || got.Errors[code] == 0 || int64(len(got.Errors)) != 1 || !bad(got.Checked) {
			t.Errorf("%s: %d good answers, errors %v, bytes %+v", what, got.OK, got.Errors, got.Checked)
		}
		if n := testutil.CollectAndCount(w.reg, "trunkline_loadtest_requests_total"); n != 2 {
			t.Errorf("%s: %d series of requests", what, n)
		}
	}
	none := func(c result.Checked) bool { return c.Lost+c.Duplicated+c.Corrupted == 0 }
	f("too short", func(w http.ResponseWriter, r *http.Request) {
		id, size := asked(r)
		_, _ = io.Copy(w, content.Reader(id, size-100))
	}, "wrong_bytes", func(c result.Checked) bool { return c.Lost > 0 && c.Duplicated+c.Corrupted == 0 })
	f("twice", func(w http.ResponseWriter, r *http.Request) { serve(w, r); serve(w, r) },
		"wrong_bytes", func(c result.Checked) bool { return c.Duplicated > 0 && c.Lost+c.Corrupted == 0 })
	f("another PBX's", func(w http.ResponseWriter, r *http.Request) {
		id, size := asked(r)
		id.Device++
		_, _ = io.Copy(w, content.Reader(id, size))
	}, "wrong_bytes", func(c result.Checked) bool { return c.Corrupted > 0 && c.Bytes == 0 })
	f("cut", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "4096")
		id, _ := asked(r)
		_, _ = io.Copy(w, content.Reader(id, 1024))
		panic(http.ErrAbortHandler)
	}, "answer_cut", none)
	f("a refusal with a code", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(503)
		_ = json.NewEncoder(w).Encode(fault.Problem{Code: fault.NotConnected})
	}, "not_connected", none)
	f("a refusal with somebody's code", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(503)
		fmt.Fprintf(w, `{"code": %q}`, time.Now().String())
	}, "status_503", none)
	f("silence", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "timeout", none)
}

// Of a WebSocket that does not open, each message that was due has failed with
// the code of why.
func TestSocketsThatDoNotOpen(t *testing.T) {
	f := func(what string, w *world, code string) {
		t.Helper()
		w.Timeout = time.Second
		stream := scenario.Traffic{Kind: scenario.WebSocket, Open: 1, Every: 10 * time.Millisecond, Size: 100}
		got := w.until(t, stream, func(t result.Tally) bool { return t.Failed() >= 5 })
		if got.OK != 0 || got.Errors[code] == 0 || len(got.Errors) != 1 {
			t.Errorf("%s: %d echoes, errors %v", what, got.OK, got.Errors)
		}
	}
	f("a refusal with a code", newWorld(t, func(w http.ResponseWriter, _ *http.Request) {
		fault.ProblemOf(fault.New(fault.NotConnected, "The PBX is off."), "").Write(w)
	}), "not_connected")
	f("a refusal without one", newWorld(t, http.NotFound), "status_404")
	f("a page where a socket was to be", newWorld(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello")
	}), "status_200")
	f("another protocol", newWorld(t, func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
	}), "bad_handshake")
	f("silence", newWorld(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), "timeout")
	f("a connection that is lost", newWorld(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), "no_answer")

	nobody, stranger := newWorld(t, serve), newWorld(t, serve)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	nobody.Sites[0].Origin = "http://" + ln.Addr().String()
	f("nobody there", nobody, "connection_refused")
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
	s.StartTLS()
	t.Cleanup(s.Close)
	stranger.Sites[0].Origin = s.URL
	f("a certificate that nobody vouches for", stranger, "tls_failed")
}

// Messages are checked one by one.
func TestEchoes(t *testing.T) {
	f := func(what string, echo func(ws *websocket.Conn, n int, b []byte) error, right func(result.Tally) bool) {
		t.Helper()
		w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
			ws, err := websocket.Accept(rw, r, nil)
			if err != nil {
				return
			}
			defer ws.CloseNow()
			for n := 0; ; n++ {
				_, b, err := ws.Read(r.Context())
				if err != nil || echo(ws, n, b) != nil {
					return
				}
			}
		})
		if got := w.until(t, scenario.Traffic{Kind: scenario.WebSocket, Open: 1, Every: 10 * time.Millisecond, Size: 100}, right); !right(got) {
			t.Errorf("%s: %d echoes, errors %v, bytes %+v", what, got.OK, got.Errors, got.Checked)
		}
	}
	send := func(ws *websocket.Conn, b []byte) error {
		return ws.Write(context.Background(), websocket.MessageBinary, b)
	}
	f("as they were", func(ws *websocket.Conn, _ int, b []byte) error { return send(ws, b) },
		func(t result.Tally) bool { return t.OK > 2 && t.Failed() == 0 && t.Checked.Bytes == 100*t.OK })
	f("one is lost", func(ws *websocket.Conn, n int, b []byte) error {
		if n == 1 {
			return nil
		}
		return send(ws, b)
	}, func(t result.Tally) bool { return t.OK > 1 && t.Errors["wrong_bytes"] == 1 && t.Checked.Lost == 100 })
	f("one comes twice", func(ws *websocket.Conn, n int, b []byte) error {
		if n == 1 {
			_ = send(ws, b)
		}
		return send(ws, b)
	}, func(t result.Tally) bool { return t.OK > 2 && t.Checked.Duplicated == 100 })
	f("one is damaged", func(ws *websocket.Conn, n int, b []byte) error {
		if n == 1 {
			_ = send(ws, append(b[:99:99], b[99]^1))
		}
		return send(ws, b)
	}, func(t result.Tally) bool { return t.OK > 2 && t.Checked.Corrupted == 100 })
	f("the socket breaks", func(ws *websocket.Conn, n int, b []byte) error {
		if n == 2 {
			return io.EOF
		}
		return send(ws, b)
	}, func(t result.Tally) bool { return t.OK >= 2 && t.Errors["no_answer"] > 0 && t.Checked.Lost == 0 })
}

// Whoever asks is told of each operation that failed, with what there was instead
// of an answer.
func TestEachLossIsTold(t *testing.T) {
	f := func(what string, stream scenario.Traffic, h http.HandlerFunc, code, answer string) {
		t.Helper()
		w := newWorld(t, h)
		var mu sync.Mutex
		var lost []traffic.Loss
		w.Meter.Lost = func(l traffic.Loss) { mu.Lock(); defer mu.Unlock(); lost = append(lost, l) }
		began := time.Now()
		got := w.until(t, stream, func(t result.Tally) bool { return t.Failed() >= 3 })
		if int64(len(lost)) != got.Failed() {
			t.Errorf("%s: told of %d, lost %d", what, len(lost), got.Failed())
		}
		for _, l := range lost {
			if l.Kind != stream.Kind || l.Code != code || "http://"+l.Entry != w.Sites[0].Origin || !strings.Contains(l.Answer, answer) || l.Due.Before(began) || l.Seen.Before(l.Begun) || l.Begun.Before(began) {
				t.Errorf("%s: %+v", what, l)
			}
		}
	}
	page := scenario.Traffic{Kind: scenario.Page, Rate: 100, Size: 100}
	f("refused", page, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(503)
		_ = json.NewEncoder(w).Encode(fault.Problem{Code: fault.NotConnected, Detail: "Words of a relay's."})
	}, "not_connected", "Words of a relay's.")
	f("cut", page, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		id, _ := asked(r)
		_, _ = io.Copy(w, content.Reader(id, 10))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}, "answer_cut", "EOF")
	socket := scenario.Traffic{Kind: scenario.WebSocket, Open: 1, Every: 10 * time.Millisecond, Size: 100}
	f("no socket", socket, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "busy", http.StatusServiceUnavailable) }, "status_503", "503")
	f("a socket that ends", socket, func(rw http.ResponseWriter, r *http.Request) {
		if ws, err := websocket.Accept(rw, r, nil); err == nil {
			_, _, _ = ws.Read(r.Context())
			_ = ws.Close(websocket.StatusPolicyViolation, "visit ended")
		}
	}, "no_answer", "visit ended")
}

package agent_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"trunkline/agent"
	"trunkline/internal/id"
	"trunkline/internal/linkmodel"
	"trunkline/internal/tunnel"
)

// A portal's first page, as one that compresses nothing sends it: real text,
// which is the agent's, and images.
type firstPage struct {
	paths []string
	kinds map[string]string
	body  map[string]string
	text  int64
	all   int64
}

func newFirstPage(t testing.TB) *firstPage {
	t.Helper()
	var sources []string
	for _, pattern := range []string{"*.go", "*/*.go"} {
		some, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, some...)
	}
	var all strings.Builder
	for _, s := range sources {
		b, err := os.ReadFile(s)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	text := all.String()
	p := &firstPage{kinds: make(map[string]string), body: make(map[string]string)}
	add := func(path, kind, body string) {
		p.paths = append(p.paths, path)
		p.kinds[path], p.body[path] = kind, body
		p.all += int64(len(body))
		if !strings.HasPrefix(kind, "image") {
			p.text += int64(len(body))
		}
	}
	add("/", "text/html", text[:20_000])
	add("/app.css", "text/css", text[20_000:60_000])
	for i := range 3 {
		add(fmt.Sprintf("/app%d.js", i), "text/javascript", text[30_000*i:][:150_000])
	}
	for i := range 8 {
		add(fmt.Sprintf("/api/%d", i), "application/json", text[1_000*i:][:4_000])
	}
	for i := range 10 {
		add(fmt.Sprintf("/icon%d.png", i), "image/png", string(agent.RandomForTest(6_000)))
	}
	return p
}

func (p *firstPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", p.kinds[r.URL.Path])
	w.Header().Set("Content-Length", fmt.Sprint(len(p.body[r.URL.Path])))
	_, _ = io.WriteString(w, p.body[r.URL.Path])
}

// load is one load of the page over a link, by a browser that then asks for all
// that the page names at once, over six connections. It returns how long that
// took and what came up the link.
func (p *firstPage) load(t *testing.T, c linkmodel.Config, compress bool) (took time.Duration, up int64) {
	link := linkmodel.New(c)
	ln := &memory{conns: make(chan net.Conn), done: make(chan struct{})}
	srv := &http.Server{Handler: p, ErrorLog: zap.NewStdLog(zap.NewNop())}
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(ln) })
	portal, err := agent.NewPortalForTest(settings("http://127.0.0.1:1"), "")
	if err != nil {
		t.Fatal(err)
	}
	portal.DialForTest(ln.dial)
	if compress {
		portal.CompressForTest()
	}
	tr := &http.Transport{DisableCompression: true, MaxConnsPerHost: 6, MaxIdleConnsPerHost: 6}
	tr.DialContext = func(context.Context, string, string) (net.Conn, error) {
		stream, relay := link.Pipe() // the agent is the near end: its answers go up
		serving.Go(func() {
			portal.Serve(t.Context(), tunnel.Header{Service: tunnel.ServicePortal, Visit: id.NewVisit()}, stream)
		})
		return &accepted{Conn: relay}, nil
	}
	l := &line{Client: &http.Client{Transport: tr}}
	began := time.Now()
	get := func(path string) {
		if _, body := l.get(t, path); body != p.body[path] {
			t.Errorf("%s: %d bytes became %d", path, len(p.body[path]), len(body))
		}
	}
	get("/")
	var wg sync.WaitGroup
	for _, path := range p.paths[1:] {
		wg.Go(func() { get(path) })
	}
	wg.Wait()
	took = time.Since(began)
	tr.CloseIdleConnections()
	srv.Close()
	serving.Wait()
	return took, link.Up().Bytes
}

// accepted takes the agent's reply off a stream, for which a relay does not
// wait with its request.
type accepted struct {
	net.Conn
	once sync.Once
}

func (a *accepted) Read(b []byte) (n int, err error) {
	a.once.Do(func() { _, err = io.ReadFull(a.Conn, make([]byte, 1)) })
	if err != nil {
		return 0, err
	}
	return a.Conn.Read(b)
}

// memory is a listener whose connections are pipes.
type memory struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (m *memory) dial(context.Context, string, string) (net.Conn, error) {
	a, b := linkmodel.New(linkmodel.Config{}).Pipe()
	m.conns <- b
	return a, nil
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.done:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error   { m.once.Do(func() { close(m.done) }); return nil }
func (m *memory) Addr() net.Addr { return nil }

// What compression does for somebody who waits: the time of the first page over
// uplinks as PBXs have them. The clock is synctest's, so the time is the link's
// alone: coding takes a PBX some 10 ms of it.
func TestPageLoad(t *testing.T) {
	p := newFirstPage(t)
	for _, mbit := range []int{1, 10} {
		for _, rtt := range []time.Duration{20 * time.Millisecond, 100 * time.Millisecond} {
			c := linkmodel.Symmetric(mbit*linkmodel.Mbit, rtt)
			var took [2]time.Duration
			var up [2]int64
			for i, compress := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) { took[i], up[i] = p.load(t, c, compress) })
			}
			t.Logf("%2d Mbit/s, %3d ms: %5d ms and %d bytes as it is, %5d ms and %d bytes compressed", mbit, rtt.Milliseconds(),
				took[0].Milliseconds(), up[0], took[1].Milliseconds(), up[1])
			if up[0] < p.all || up[0] > p.all+20_000 {
				t.Errorf("%d bytes as they are took %d on the link", p.all, up[0])
			}
			if most := p.all - p.text*60/100; up[1] > most {
				t.Errorf("%d bytes, %d of them text, took %d on the link, and should at most %d", p.all, p.text, up[1], most)
			}
			if mbit == 1 && took[1] > took[0]/2 {
				t.Errorf("on 1 Mbit/s the page takes %v, and %v compressed", took[0], took[1])
			}
		}
	}
}

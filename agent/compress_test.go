package agent_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"trunkline/agent"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

// line is the other end of an agent's streams, as an http.Client: it counts
// what comes up the line.
type line struct {
	*http.Client
	came atomic.Int64
}

func newLine(t *testing.T, p agent.PortalForTest) *line {
	r := &line{}
	tr := &http.Transport{DisableCompression: true}
	tr.DialContext = func(context.Context, string, string) (net.Conn, error) {
		c, stream := net.Pipe()
		go p.Serve(context.WithoutCancel(t.Context()), tunnel.Header{Service: tunnel.ServicePortal, Visit: id.NewVisit()}, stream)
		if b := make([]byte, 1); read(t, c, b) != "\x00" {
			return nil, fmt.Errorf("reply %q", b)
		}
		_ = c.SetDeadline(time.Time{})
		return &metered{c, &r.came}, nil
	}
	r.Client = &http.Client{Transport: tr}
	t.Cleanup(tr.CloseIdleConnections)
	return r
}

type metered struct {
	net.Conn
	n *atomic.Int64
}

func (m *metered) Read(b []byte) (int, error) {
	n, err := m.Conn.Read(b)
	m.n.Add(int64(n))
	return n, err
}

// get asks as a page of the portal's own does, and undoes the coding.
func (r *line) get(t *testing.T, path string) (resp *http.Response, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://pbx"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "gzip, deflate, br, zstd")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	resp, err = r.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var from io.Reader = resp.Body
	switch as := resp.Header.Get("Content-Encoding"); as {
	case "gzip":
		if from, err = gzip.NewReader(resp.Body); err != nil {
			t.Fatal(err)
		}
	case "zstd":
		z, err := zstd.NewReader(resp.Body, zstd.WithDecoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		from = z
	case "":
	default:
		t.Errorf("%s: coded as %q", path, as)
	}
	b, err := io.ReadAll(from)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body) // the last chunk, without which the connection is not used again
	}
	if err != nil {
		t.Errorf("%s: %v", path, err)
	}
	return resp, string(b)
}

// One connection, many answers of all kinds, over HTTP and HTTPS: the bodies
// are the portal's, and the line carries less.
func TestCompression(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	text := strings.Repeat("A line of a log that repeats itself.\n", 3000)
	media := string(agent.RandomForTest(100_000))
	m := http.NewServeMux()
	serve := func(path, kind, body string, length bool) {
		m.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			if length {
				w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			}
			_, _ = io.WriteString(w, body)
		})
	}
	serve("/log", "text/plain", text, true)
	serve("/log/chunked", "text/plain", text, false)
	serve("/media", "audio/wav", media, true)
	serve("/media/chunked", "audio/wav", media, false)
	serve("/noise", "text/plain", media, true)
	serve("/small", "text/plain", "small", true)
	m.HandleFunc("/close", func(w http.ResponseWriter, _ *http.Request) {
		c, _, _ := w.(http.Hijacker).Hijack()
		_, _ = io.WriteString(c, "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n"+text)
		c.Close()
	})
	for _, scheme := range []string{"http", "https"} {
		s := httptest.NewUnstartedServer(m)
		s.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
		if scheme == "https" {
			s.StartTLS()
		} else {
			s.Start()
		}
		p, err := agent.NewPortalForTest(settings(s.URL), "")
		if err != nil {
			t.Fatal(err)
		}
		p.CompressForTest()
		r := newLine(t, p)
		f := func(path, want string, most int64) {
			t.Helper()
			before := r.came.Load()
			resp, got := r.get(t, path)
			if got != want {
				t.Errorf("%s %s: %d bytes became %d", scheme, path, len(want), len(got))
			}
			if n := r.came.Load() - before; n > most {
				t.Errorf("%s %s: %d bytes took %d on the line, %v", scheme, path, len(want), n, resp.Header)
			}
		}
		for range 2 {
			f("/log", text, 3000)
			f("/media", media, 101_000)
			f("/log/chunked", text, 3000)
			f("/media/chunked", media, 103_000)
			f("/noise", media, 101_000)
			f("/small", "small", 300)
		}
		f("/close", text, 3000)
		f("/log", text, 3000)
		r.CloseIdleConnections()
		s.Close()
	}
}

// The whole agent, by its configuration.
func TestCompressionIsConfigured(t *testing.T) {
	text := strings.Repeat("A page that compresses well.\n", 1000)
	portal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(portal.Close)
	for on, want := range map[bool]string{true: "zstd", false: ""} {
		data := t.TempDir()
		i := identity()
		r := newRelay(t, agent.StoreForTest(t, data, i))
		_, port, _ := net.SplitHostPort(r.ln.Addr().String())
		ca, err := os.ReadFile(r.ca.File())
		if err != nil {
			t.Fatal(err)
		}
		i.Relays, i.CA, i.Portal = []string{"relay-1.localhost:" + port}, string(ca), portal.URL
		agent.StoreForTest(t, data, i)
		c := agent.Default()
		c.Data, c.Portal.Compression = data, on
		a, err := agent.New(c, zap.NewNop(), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- a.Run(ctx) }()
		tun := next(t, r.tunnels)
		l := &line{Client: &http.Client{Transport: &http.Transport{
			DisableCompression: true, DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return tun.Open(ctx, tunnel.Header{Service: tunnel.ServicePortal, Visit: id.NewVisit()})
			},
		}}}
		resp, body := l.get(t, "/")
		if got := resp.Header.Get("Content-Encoding"); got != want || body != text {
			t.Errorf("portal.compression %v: %d bytes, coded as %q", on, len(body), got)
		}
		stop()
		if err := next(t, ended); err != nil {
			t.Error(err)
		}
	}
}

package relay_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"trunkline/cmd/trunkline/up"
	"trunkline/internal/fault"
	"trunkline/internal/pbxsim"
	"trunkline/internal/testnet"
	"trunkline/internal/visitor"
)

// stage is an installation under attack. On another PBX a bystander fetches
// pages all the while, over new connections, and must notice nothing. What
// all parts log, at debug level, is kept.
type stage struct {
	*testnet.World
	portal    *pbxsim.Portal
	pbx       *testnet.PBX
	visitor   *visitor.Visitor // to pbx
	bystander *bystander
	logs      *observer.ObservedLogs

	mu      sync.Mutex
	secrets map[string]string // secret to what it is
}

func newStage(t *testing.T, configure func(*up.Config)) *stage {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	s := &stage{logs: logs, secrets: map[string]string{testnet.SuperPassword: "the portal's password"}}
	t.Cleanup(func() { s.checkLogs(t) }) // last: everything has said its last word
	s.World = testnet.StartLogged(t, zap.New(core), configure)
	_, password := s.Login()
	s.secret("the admin's password", password)
	s.portal = s.Portal(nil)
	s.pbx = s.Connect("3631A20C0042", s.portal.URL())
	s.visitor = s.pbx.Visit()
	t.Cleanup(func() { s.checkLabels(t) })
	s.bystander = s.watch(t, s.Connect("3631A20C0043", s.portal.URL()))
	s.bystander.goesOn(t, 1)
	return s
}

// secret is never to be seen in a log.
func (s *stage) secret(what, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets[value] = what
}

func (s *stage) checkLogs(t *testing.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.logs.All() {
		line := entryText(e)
		for secret, what := range s.secrets {
			if strings.Contains(line, secret) {
				t.Errorf("%s is in the log: %s %s", what, e.LoggerName, e.Message)
			}
		}
		if e.Level >= zapcore.ErrorLevel {
			t.Errorf("logged: %s", line)
		}
	}
}

var names = regexp.MustCompile(`(acc|usr|dev|vis|tun)_[0-9a-z]{16}|pbx-[0-9a-z]{8}|3631A20|@|\d+\.\d+\.\d+\.\d+|https?:`)

// checkLabels holds the metrics to naming nobody and to being few.
func (s *stage) checkLabels(t *testing.T) {
	t.Helper()
	ours := 0
	for series := range s.metrics(t) {
		if !strings.HasPrefix(series, "trunkline_") {
			continue
		}
		ours++
		if names.MatchString(series) {
			t.Errorf("a metric names somebody: %s", series)
		}
	}
	if ours < 30 || ours > 1000 {
		t.Errorf("there are %d series", ours)
	}
}

func entryText(e observer.LoggedEntry) string {
	return fmt.Sprintln(e.Level, e.LoggerName, e.Message, e.ContextMap())
}

// bystander visits a PBX until its test ends.
type bystander struct {
	pbx  *testnet.PBX
	v    *visitor.Visitor
	mu   sync.Mutex
	ok   int
	errs []error
}

func (s *stage) watch(t *testing.T, p *testnet.PBX) *bystander {
	v := p.Visit()
	v.Transport.(*http.Transport).DisableKeepAlives = true
	b := &bystander{pbx: p, v: v}
	testnet.Go(t, "bystander", func(ctx context.Context) error {
		for ctx.Err() == nil {
			b.fetch(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
		}
		return nil
	})
	t.Cleanup(func() { b.undisturbed(t) })
	return b
}

func (b *bystander) fetch(ctx context.Context) {
	fctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	page, err := b.v.Fetch(fctx, "/test/1kb")
	if err == nil && len(page) != 1024 {
		err = fmt.Errorf("%d bytes", len(page))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err == nil:
		b.ok++
	case ctx.Err() == nil:
		b.errs = append(b.errs, err)
	}
}

func (b *bystander) count() (ok int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ok, errors.Join(b.errs...)
}

// undisturbed fails if the bystander has met an error so far.
func (b *bystander) undisturbed(t *testing.T) {
	t.Helper()
	if ok, err := b.count(); err != nil || ok == 0 {
		t.Errorf("the visitor of another PBX got %d pages and: %v", ok, err)
	}
}

// goesOn waits for more pages, begun after the call.
func (b *bystander) goesOn(t *testing.T, n int) {
	t.Helper()
	before, _ := b.count()
	testnet.Eventually(t, "the visitor of another PBX goes on", func() error {
		if ok, err := b.count(); ok < before+n+1 {
			return errors.Join(fmt.Errorf("%d pages more", ok-before), err)
		}
		return nil
	})
	b.undisturbed(t)
}

// trace is what every refusal leaves behind: a counter that moves, and a log
// event with the code.
type trace struct {
	series string // of control or relay, with its labels
	event  string // the log's message
	code   fault.Code
}

// leaves runs do, checks its trace, and that nobody else has noticed.
func (s *stage) leaves(t *testing.T, tr trace, do func() fault.Code) {
	t.Helper()
	counter, logged, already := s.metrics(t)[tr.series], s.logged(tr), s.logs.Len()
	defer func() {
		if t.Failed() {
			for _, e := range s.logs.All()[already:] {
				if e.Level >= zapcore.InfoLevel && e.Message != "request" {
					t.Log(entryText(e))
				}
			}
		}
	}()
	if got := do(); got != tr.code {
		t.Errorf("ends in %q, not in %q", got, tr.code)
	}
	testnet.Eventually(t, "its trace", func() error {
		if s.metrics(t)[tr.series] <= counter {
			return fmt.Errorf("the counter %s did not move", tr.series)
		}
		if s.logged(tr) <= logged {
			return fmt.Errorf("nothing logged as %q with code %q", tr.event, tr.code)
		}
		return nil
	})
	s.bystander.undisturbed(t)
}

func (s *stage) logged(tr trace) int {
	return s.logs.FilterMessage(tr.event).FilterField(zap.String("code", string(tr.code))).Len()
}

// metrics are control's and the relay's, by series.
func (s *stage) metrics(t *testing.T) map[string]float64 {
	t.Helper()
	out := make(map[string]float64)
	for _, a := range s.Up.AdminAddrs() {
		resp, err := http.Get("http://" + a.String() + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
			if !strings.Contains(line, "}") {
				name, value, _ = strings.Cut(strings.TrimSpace(line), " ")
			} else {
				name += "}"
			}
			if f, err := strconv.ParseFloat(value, 64); err == nil && line[0] != '#' {
				out[name] = f
			}
		}
	}
	return out
}

// open is a TLS connection to the public port.
func (s *stage) open(t *testing.T, sni string, alpn ...string) *tls.Conn {
	t.Helper()
	cfg := s.TLS.Clone()
	cfg.ServerName, cfg.NextProtos = sni, alpn
	d := tls.Dialer{Config: cfg}
	c, err := d.DialContext(t.Context(), "tcp", s.Up.Relay.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(testnet.Patience))
	return c.(*tls.Conn)
}

func (s *stage) host(p *testnet.PBX) string { return string(p.Site) + ".localhost" }

// authority is the Host of a PBX's site.
func (s *stage) authority(p *testnet.PBX) string { return s.host(p) + s.Up.Relay.SitePort() }

// cookie is a visitor's, as the Cookie field has it.
func (s *stage) cookie(t *testing.T, v *visitor.Visitor) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, v.Origin, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range v.Jar.Cookies(req.URL) {
		if strings.HasPrefix(c.Name, "__Host-") {
			s.secret("a visit's cookie", c.Value)
			return c.Name + "=" + c.Value
		}
	}
	t.Fatal("the visitor has no cookie")
	return ""
}

// answer is a response that has been read.
type answer struct {
	*http.Response
	body string
}

// say writes raw bytes and reads one answer to a GET, if there is any.
func say(c net.Conn, raw string) (answer, error) {
	if _, err := io.WriteString(c, raw); err != nil {
		return answer{}, err
	}
	return hear(bufio.NewReader(c), http.MethodGet)
}

func hear(r *bufio.Reader, method string) (answer, error) {
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		return answer{}, err
	}
	b, err := io.ReadAll(resp.Body)
	return answer{resp, string(b)}, err
}

var pageCode = regexp.MustCompile(`<code>([a-z_]+)</code>`)

// code is the fault's in an error page or a problem document.
func (a answer) code() fault.Code {
	if a.Response == nil {
		return ""
	}
	if m := pageCode.FindStringSubmatch(a.body); m != nil {
		return fault.Code(m[1])
	}
	var p fault.Problem
	if a.Header.Get("Content-Type") != "application/problem+json" || json.Unmarshal([]byte(a.body), &p) != nil || p.Status != a.StatusCode {
		return fault.Code(fmt.Sprintf("status %d, no code: %.300s", a.StatusCode, a.body))
	}
	return p.Code
}

// do is the answer to a request in full.
func do(c *http.Client, req *http.Request) (answer, error) {
	resp, err := c.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp, string(b)}, err
}

// get is do for a page of the visitor's site.
func get(t *testing.T, v *visitor.Visitor, path string) (answer, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.Origin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(v.Client, req)
}

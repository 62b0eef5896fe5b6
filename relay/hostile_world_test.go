package relay_test

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	"trunkline/internal/logtest"
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
	core, logs := logtest.New(zapcore.DebugLevel)
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

// betweenPages leaves most of the machine to what is tested: a page over a new
// connection takes a processor for 10 ms with the race detector.
const betweenPages = 40 * time.Millisecond

// bystander visits a PBX until its test ends.
type bystander struct {
	pbx  *testnet.PBX
	v    *visitor.Visitor
	mu   sync.Mutex
	ok   int
	errs []error
}

// dialsAnew has v open a connection for each of its requests. The transport it
// has is still at work: its settings are not to be touched.
func dialsAnew(v *visitor.Visitor) {
	visited := v.Transport.(*http.Transport)
	each := visited.Clone()
	each.DisableKeepAlives = true
	v.Transport = each
	visited.CloseIdleConnections()
}

func (s *stage) watch(t *testing.T, p *testnet.PBX) *bystander {
	v := p.Visit()
	dialsAnew(v)
	b := &bystander{pbx: p, v: v}
	testnet.Go(t, "bystander", func(ctx context.Context) error {
		for ctx.Err() == nil {
			b.fetch(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(betweenPages):
			}
		}
		return nil
	})
	t.Cleanup(func() { b.undisturbed(t) })
	return b
}

func (b *bystander) fetch(ctx context.Context) {
	fctx, cancel := context.WithTimeout(ctx, testnet.Patience)
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
		if s.logged(tr) <= logged { // first: it costs less
			return fmt.Errorf("nothing logged as %q with code %q", tr.event, tr.code)
		}
		if s.metrics(t)[tr.series] <= counter {
			return fmt.Errorf("the counter %s did not move", tr.series)
		}
		return nil
	})
	s.bystander.undisturbed(t)
}

func (s *stage) logged(tr trace) int {
	return s.logs.FilterMessage(tr.event).FilterField(zap.String("code", string(tr.code))).Len()
}

// scraper has metrics come as they are: compressing them takes longer.
var scraper = http.Client{Transport: &http.Transport{DisableCompression: true}}

// metrics are control's and the relay's, by series.
func (s *stage) metrics(t *testing.T) map[string]float64 {
	t.Helper()
	out := make(map[string]float64)
	for _, a := range s.Up.AdminAddrs() {
		resp, err := scraper.Get("http://" + a.String() + "/metrics")
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

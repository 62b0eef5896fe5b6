package testnet_test

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"trunkline/cmd/trunkline/up"
	"trunkline/internal/controlapi"
	"trunkline/internal/id"
	"trunkline/internal/testnet"
	"trunkline/internal/visitor"
	"trunkline/relay"
)

// collecting is an OTLP/HTTP collector.
type collecting struct {
	*httptest.Server
	mu   sync.Mutex // guards what follows
	all  []*spans.Span
	text string // of all that came, to be searched
	err  error
}

func collect(t *testing.T) *collecting {
	c := new(collecting)
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		err := c.take(r)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.err = errors.Join(c.err, err)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collecting) take(r *http.Request) error {
	b, err := io.ReadAll(r.Body)
	if err == nil && r.Header.Get("Content-Encoding") == "gzip" {
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(b)); err == nil {
			b, err = io.ReadAll(z)
		}
	}
	if err != nil {
		return err
	}
	var q collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(b, &q); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text += protojson.Format(&q)
	for _, r := range q.GetResourceSpans() {
		for _, s := range r.GetScopeSpans() {
			c.all = append(c.all, s.GetSpans()...)
		}
	}
	return nil
}

// path is the names of a span and its ancestors, the eldest first.
func (c *collecting) path(s *spans.Span) string {
	for _, p := range c.all {
		if bytes.Equal(p.GetSpanId(), s.GetParentSpanId()) {
			return c.path(p) + " > " + s.GetName()
		}
	}
	return s.GetName()
}

// One visit is one trace, from the console over two relays to the portal, and
// nothing in it lets anybody in.
func TestAVisitIsOneTrace(t *testing.T) {
	to := collect(t)
	more := &testnet.More{Names: []id.Relay{"relay-2"}}
	w := testnet.Start(t, func(c *up.Config) {
		more.WithRelays(c)
		c.Control.Traces.Endpoint, c.Control.Traces.Sample = to.URL+"/v1/traces", 1
		c.Relay.Traces.Endpoint = to.URL + "/v1/traces"
	})
	heads := make(chan http.Header, 1000)
	portal := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { heads <- r.Header.Clone() }))
	t.Cleanup(portal.Close)
	pbx := w.Connect("3631A20C0042", portal.URL) // to the only relay there is yet
	second := w.Relay(more, "relay-2", func(c *relay.Config) { c.Traces.Endpoint = to.URL + "/v1/traces" })
	start, err := w.API.StartVisit(t.Context(), controlapi.VisitRequest{Device: pbx.Device})
	if err != nil {
		t.Fatal(err)
	}
	v, err := visitor.Enter(t.Context(), w.TLS, w.Up.ConsoleURL(), start)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.CloseIdleConnections)
	if _, err := visitor.Enter(t.Context(), w.TLS, w.Up.ConsoleURL(), start); err == nil {
		t.Fatal("a handover was good twice")
	}
	w.Through(v, second.Addr())
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.Origin+"/page;hush-session?token=hush-query", nil)
	if err != nil {
		t.Fatal(err)
	}
	const strange = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	r.Header.Set("Traceparent", strange)
	r.Header.Set("Tracestate", "a=b")
	r.Header.Set("Cookie", "portal=hush-cookie")
	resp, err := v.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	var head http.Header
	for head = range heads {
		if strings.Contains(head.Get("Cookie"), "hush-cookie") {
			break
		}
	}

	want := []string{
		"start visit", "start visit > publish handover", "start visit > redeem handover", "start visit > record visit",
		"start visit > GET", "start visit > GET > open stream", "start visit > GET > open stream > open stream for a relay",
	}
	var trace string
	w.Eventually("the whole trace has come", func() error {
		to.mu.Lock()
		defer to.mu.Unlock()
		have := make(map[string]bool)
		for _, s := range to.all {
			have[to.path(s)] = true
			trace = hex.EncodeToString(s.GetTraceId())
			if !bytes.Equal(s.GetTraceId(), to.all[0].GetTraceId()) {
				t.Fatalf("%s is of another trace", s.GetName())
			}
		}
		for _, p := range want {
			if !have[p] {
				return fmt.Errorf("there is no %q in %v", p, have)
			}
		}
		refused := func(s *spans.Span) bool {
			return to.path(s) == "start visit > redeem handover" && s.GetStatus().GetCode() == spans.Status_STATUS_CODE_ERROR
		}
		if !slices.ContainsFunc(to.all, refused) {
			return errors.New("there is no span of the handover that was refused")
		}
		return to.err
	})
	if got := head.Values("Traceparent"); len(got) != 1 || !strings.HasPrefix(got[0], "00-"+trace+"-") || head.Get("Tracestate") != "" {
		t.Errorf("in trace %s the portal got traceparent %q, tracestate %q", trace, got, head.Get("Tracestate"))
	}
	to.mu.Lock()
	defer to.mu.Unlock()
	email, password := w.Login()
	for _, secret := range []string{"hush", start.Handover, email, password, "4bf92f3577b34da6a3ce929d0e0e4736"} {
		if strings.Contains(to.text, secret) {
			t.Errorf("the spans have %q", secret)
		}
	}
	if !strings.Contains(to.text, `"/page"`) {
		t.Errorf("the request's path is missing")
	}
}

// With no collector there visits go on, and the portal is told of no browser's
// trace.
func TestVisitsGoOnWithoutTheCollector(t *testing.T) {
	w := testnet.Start(t, func(c *up.Config) {
		c.Control.Traces.Endpoint, c.Control.Traces.Sample = "http://127.0.0.1:1/v1/traces", 1
		c.Relay.Traces.Endpoint = "http://127.0.0.1:1/v1/traces"
	})
	pbx := w.Connect("3631A20C0042", w.Portal(nil).URL())
	v := pbx.Visit()
	for range 20 {
		if _, err := v.Fetch(t.Context(), "/"); err != nil {
			t.Fatal(err)
		}
	}
}

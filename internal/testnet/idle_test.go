package testnet_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"trunkline/agent/manage"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/testnet"
	"trunkline/internal/visitor"
)

// Two people are in a PBX without a password, through a relay whose clock is
// ours. The page that one has left open asks by itself for more all the time:
// the visit ends at the time that the PBX's staff have set. The other one does
// something now and then, and stays.
func TestIdleIsWithoutOperations(t *testing.T) {
	var ahead atomic.Int64 // of the relay's clock
	more := &testnet.More{Names: []id.Relay{"relay-2"}, Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }}
	w := testnet.Start(t, more.WithRelays)
	r := w.Relay(more, "relay-2", nil)
	p := letIn(t, w, headerLogin, w.Portal(trusting))
	const idle = manage.MinAutoLogout * time.Minute
	minutes := manage.MinAutoLogout
	if err := p.Desk.Change(t.Context(), manage.Change{AutoLogout: &minutes}); err != nil {
		t.Fatal(err)
	}
	w.Eventually("the provider knows of the time", func() error {
		start, err := w.API.StartVisit(t.Context(), controlapi.VisitRequest{Device: p.Device, Method: passwordless})
		if err == nil && time.Duration(start.Visit.IdleSeconds)*time.Second != idle {
			err = errors.New("it is another one")
		}
		return err
	})
	// They go through that relay from the start: another one would know by its own clock
	// that they are not idle.
	left, _ := enterAt(t, w, p, r)
	busy, _ := enterAt(t, w, p, r)
	for _, v := range []*visitor.Visitor{left, busy} {
		if code := asks(t, v, "navigate", "document", "?1"); code != "" {
			t.Fatalf("the first page: %s", code)
		}
	}
	const every = 20 * time.Second
	var ended time.Duration
	for now := every; now <= 6*idle; now += every {
		ahead.Store(int64(now))
		if ended == 0 {
			switch code := asks(t, left, "cors", "empty", ""); code {
			case "":
			case fault.VisitIdle:
				ended = now
			default:
				t.Fatalf("after %v the page that was left is told %s", now, code)
			}
		}
		if now%(4*time.Minute) == 0 {
			if code := asks(t, busy, "navigate", "document", "?1"); code != "" {
				t.Fatalf("after %v whoever is at work is told %s", now, code)
			}
		}
	}
	// It takes some of its requests to see that nobody is behind them.
	if ended < idle || ended > idle+6*every {
		t.Errorf("the visit that nobody is at ended after %v, and should after %v", ended, idle)
	}
}

// enterAt has somebody visit p without a password, through r from the first request on.
func enterAt(t *testing.T, w *testnet.World, p *testnet.PBX, r *testnet.Relay) (*visitor.Visitor, controlapi.Visit) {
	t.Helper()
	start, err := w.API.StartVisit(t.Context(), controlapi.VisitRequest{Device: p.Device, Method: passwordless})
	if err != nil {
		t.Fatal(err)
	}
	v, err := visitor.New(w.TLS, strings.TrimSuffix(start.URL, "/.trunkline/visit"))
	if err != nil {
		t.Fatal(err)
	}
	w.Through(v, r.Addr())
	resp, err := v.Redeem(t.Context(), w.Up.ConsoleURL(), start.URL, start.Handover)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusSeeOther {
		t.Fatal(resp.Status)
	}
	return v, start.Visit
}

// asks is a request as a browser makes it, and the code of its refusal.
func asks(t *testing.T, v *visitor.Visitor, mode, dest, user string) fault.Code {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.Origin+"/extensions", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("Sec-Fetch-Mode", mode)
	req.Header.Set("Sec-Fetch-Dest", dest)
	if user != "" {
		req.Header.Set("Sec-Fetch-User", user)
	}
	resp, err := v.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case resp.StatusCode == http.StatusOK:
		return ""
	case strings.Contains(string(b), string(fault.VisitIdle)):
		return fault.VisitIdle
	}
	return fault.Code(resp.Status + " " + string(b))
}

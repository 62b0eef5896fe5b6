package relay_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"trunkline/cmd/trunkline/up"
	"trunkline/internal/bus"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/testnet"
	"trunkline/internal/token"
	"trunkline/internal/visitor"
)

func handedOver(code fault.Code) trace {
	return trace{fmt.Sprintf(`trunkline_relay_handovers_total{code="%s"}`, code), "request", code}
}

// redeem posts a handover to a site, from a browser that has nothing yet.
func (s *stage) redeem(t *testing.T, p *testnet.PBX, handover, origin string) (*visitor.Visitor, answer) {
	t.Helper()
	v, err := visitor.New(s.TLS, "https://"+s.authority(p))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.CloseIdleConnections)
	resp, err := v.Redeem(t.Context(), origin, v.Origin+"/.trunkline/visit", handover)
	if err != nil {
		t.Error(err)
		return v, answer{}
	}
	defer resp.Body.Close()
	var b strings.Builder
	resp.Write(&b)
	_, body, _ := strings.Cut(b.String(), "\r\n\r\n")
	return v, answer{resp, body}
}

func (s *stage) handover(t *testing.T, p *testnet.PBX) string {
	t.Helper()
	start, err := s.API.StartVisit(t.Context(), controlapi.VisitRequest{Device: p.Device})
	if err != nil {
		t.Fatal(err)
	}
	s.secret("a handover", start.Handover)
	return start.Handover
}

// relayLogin lets the test into the bus as a relay that went bad.
func relayLogin(t *testing.T, c *up.Config) bus.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("a relay's password"), 0o600); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c.Bus.Listen, c.Bus.Logins = ln.Addr().String(), []bus.Login{{User: "bad", PasswordFile: file, Relay: "relay-bad"}}
	return bus.Config{URL: "nats://" + c.Bus.Listen, User: "bad", PasswordFile: file}
}

func TestHostileHandovers(t *testing.T) {
	var login bus.Config
	s := newStage(t, func(c *up.Config) { login = relayLogin(t, c) })
	console := s.Up.ConsoleURL()
	made, _ := token.NewHandover()
	expired := s.handover(t, s.pbx)
	expire(t, login, expired)
	used := s.handover(t, s.pbx)
	if v, a := s.redeem(t, s.pbx, used, console); a.StatusCode != http.StatusSeeOther {
		t.Fatalf("a good one: %s", a.code())
	} else {
		s.cookie(t, v)
	}
	for _, c := range []struct {
		name, handover string
		pbx            *testnet.PBX
		code           fault.Code
	}{
		{"empty", "", s.pbx, fault.HandoverInvalid},
		{"of no form", "../../etc/passwd", s.pbx, fault.HandoverInvalid},
		{"a wildcard of the bus", strings.Repeat("*.>", 14) + "A", s.pbx, fault.HandoverInvalid},
		{"never issued", made, s.pbx, fault.HandoverInvalid},
		{"used", used, s.pbx, fault.HandoverUsed},
		{"expired", expired, s.pbx, fault.HandoverInvalid},
		{"another site's", s.handover(t, s.pbx), s.bystander.pbx, fault.VisitWrongSite},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.leaves(t, handedOver(c.code), func() fault.Code {
				v, a := s.redeem(t, c.pbx, c.handover, console)
				if got := v.Jar.Cookies(a.Request.URL); len(got) > 0 {
					t.Errorf("a cookie all the same: %v", got)
				}
				return a.code()
			})
		})
	}
	t.Run("at once from everywhere", s.race)
	t.Run("cross-site", s.crossSite)
	t.Run("ended visit", s.endedVisit)
	s.bystander.goesOn(t, 3)
}

// expire sets a handover's end into the past, as a relay may.
func expire(t *testing.T, login bus.Config, handover string) {
	t.Helper()
	b, err := bus.Open(t.Context(), login, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	hash, err := token.HandoverHash(handover)
	if err != nil {
		t.Fatal(err)
	}
	bucket := bus.NewBucket[bus.Handover](b, bus.Handovers)
	testnet.Eventually(t, "the handover is rewritten", func() error {
		h, rev, err := bucket.Get(t.Context(), hash)
		if err == nil {
			h.Expires = time.Now().Add(-time.Second)
			_, err = bucket.Update(t.Context(), hash, h, rev)
		}
		return err
	})
}

// One handover is one visit, however many present it together.
func (s *stage) race(t *testing.T) {
	h := s.handover(t, s.pbx)
	var mu sync.Mutex
	codes := map[fault.Code]int{}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			_, a := s.redeem(t, s.pbx, h, s.Up.ConsoleURL())
			code := fault.Code("")
			if a.Response == nil || a.StatusCode != http.StatusSeeOther {
				code = a.code()
			}
			mu.Lock()
			defer mu.Unlock()
			codes[code]++
		})
	}
	wg.Wait()
	if codes[""] != 1 || codes[fault.HandoverUsed] != 19 {
		t.Errorf("outcomes: %v", codes)
	}
}

// Nobody is put into a visit by a page that is not the console's, nor by a link.
func (s *stage) crossSite(t *testing.T) {
	h := s.handover(t, s.pbx)
	for _, origin := range []string{
		"https://evil.example", "null", "https://" + s.authority(s.bystander.pbx), "https://" + s.authority(s.pbx),
		"http" + strings.TrimPrefix(s.Up.ConsoleURL(), "https"), s.Up.ConsoleURL() + ".evil.example", "https://console.localhost",
	} {
		s.leaves(t, edgeFault(fault.CrossSite), func() fault.Code {
			_, a := s.redeem(t, s.pbx, h, origin)
			return a.code()
		})
	}
	if a, err := get(t, s.visitor, "/.trunkline/visit?handover="+h); err != nil || a.code() != fault.VisitNeeded {
		t.Errorf("by a link: %s, %v", a.code(), err)
	}
	if _, a := s.redeem(t, s.pbx, h, s.Up.ConsoleURL()); a.StatusCode != http.StatusSeeOther {
		t.Errorf("a stranger's tries have used the handover up: %s", a.code())
	}
}

// A visit that is ended in the console is over at once, also for what runs.
func (s *stage) endedVisit(t *testing.T) {
	start, err := s.API.StartVisit(t.Context(), controlapi.VisitRequest{Device: s.pbx.Device})
	if err != nil {
		t.Fatal(err)
	}
	v, err := visitor.Enter(t.Context(), s.TLS, s.Up.ConsoleURL(), start)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.CloseIdleConnections)
	s.cookie(t, v)
	running := make(chan error, 1)
	go func() {
		a, err := get(t, v, "/test/drip?n=10000&ms=20")
		if err == nil && a.StatusCode >= 400 { // the portal had not begun
			err = errors.New(a.Status)
		}
		running <- err
	}()
	testnet.Eventually(t, "the portal drips", func() error {
		if s.metrics(t)["trunkline_relay_edge_requests_active"] == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	if err := s.API.EndVisit(t.Context(), start.Visit.ID); err != nil {
		t.Fatal(err)
	}
	s.leaves(t, edgeFault(fault.EndedByStaff), func() fault.Code {
		var code fault.Code
		testnet.Eventually(t, "the visit is over", func() error {
			a, err := get(t, v, "/")
			if err == nil && a.StatusCode < 400 {
				return errors.New("it goes on")
			}
			code = a.code()
			return err
		})
		return code
	})
	select {
	case err := <-running:
		if err == nil {
			t.Error("the running request came to an end as if nothing had happened")
		}
	case <-time.After(testnet.Patience):
		t.Error("the running request runs on")
	}
}

package relay_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trunkline/internal/bus"
	"trunkline/internal/testnet"
	"trunkline/internal/token"
	"trunkline/relay"
)

// session fetches a page and says whether the TLS session was resumed.
func session(r *relay.Relay, cfg *tls.Config) (resumed bool, err error) {
	c, err := tls.Dial("tcp", r.Addr().String(), cfg)
	if err != nil {
		return false, err
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", cfg.ServerName); err != nil {
		return false, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil) // the ticket comes before it
	if err != nil {
		return false, err
	}
	return c.ConnectionState().DidResume, resp.Body.Close()
}

// A browser's session is good at every relay, as long as the keys of visits
// are; where that would cost its secrecy, and for agents, there is none.
func TestSessionsAreResumedAtOtherRelays(t *testing.T) {
	s := newCoast(t, func(*relay.Config) {})
	other := s.start(prometheus.NewRegistry(), func(c *relay.Config) { c.Name = "relay-2" })
	testnet.Eventually(t, "the other one is ready", other.Ready)
	browser := &tls.Config{ServerName: string(s.site) + ".localhost", RootCAs: s.ca.Pool(), ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	resumes := func(r *relay.Relay, cfg *tls.Config, want bool) {
		t.Helper()
		if got, err := session(r, cfg); got != want || err != nil {
			t.Errorf("resumed: %v, %v", got, err)
		}
	}
	resumes(s.relay, browser, false)
	resumes(s.relay, browser, true)
	resumes(other, browser, true)

	old := browser.Clone()
	old.MaxVersion, old.ClientSessionCache = tls.VersionTLS12, tls.NewLRUClientSessionCache(4)
	resumes(s.relay, old, false)
	resumes(s.relay, old, false)
	agent := s.agent.Clone()
	agent.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	for range 2 {
		c, err := tls.Dial("tcp", s.relay.Addr().String(), agent)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write(block([]byte("{}")))
		_, _ = c.Read(make([]byte, 1))
		if c.ConnectionState().DidResume {
			t.Error("an agent's session was resumed")
		}
		_ = c.Close()
	}

	// What is sealed with the old key opens while that is there, and no longer.
	state, ok := browser.ClientSessionCache.Get(browser.ServerName)
	if !ok {
		t.Fatal("the browser kept no session")
	}
	again := func() *tls.Config {
		cfg := browser.Clone()
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		cfg.ClientSessionCache.Put(browser.ServerName, state)
		return cfg
	}
	keys, next := bus.NewBucket[token.SealKey](s.bus, bus.Keys), token.NewSealKey(time.Now())
	if _, err := keys.Put(t.Context(), "visit."+next.ID, next); err != nil {
		t.Fatal(err)
	}
	testnet.Eventually(t, "a session moves on", func() error {
		fresh := browser.Clone()
		fresh.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		_, err := session(s.relay, fresh)
		if err == nil {
			ok, err = session(other, fresh)
		}
		if !ok || err != nil {
			return errors.Join(errors.New("not resumed"), err)
		}
		return nil
	})
	resumes(other, again(), true)
	if err := keys.Delete(t.Context(), "visit."+s.seal.ID); err != nil {
		t.Fatal(err)
	}
	testnet.Eventually(t, "the old key opens nothing", func() error {
		if ok, err := session(other, again()); ok || err != nil {
			return errors.Join(errors.New("resumed"), err)
		}
		return nil
	})
}

// Agents' key exchange is a choice, browsers' is not.
func TestPostQuantum(t *testing.T) {
	for _, on := range []bool{true, false} {
		s := newCoast(t, func(c *relay.Config) { c.Tunnels.PostQuantum = on })
		curve := func(cfg *tls.Config) tls.CurveID {
			c, err := tls.Dial("tcp", s.relay.Addr().String(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			return c.ConnectionState().CurveID
		}
		want := tls.X25519
		if on {
			want = tls.X25519MLKEM768
		}
		if got := curve(s.agent); got != want {
			t.Errorf("post_quantum %v: an agent has %v", on, got)
		}
		if got := curve(&tls.Config{ServerName: string(s.site) + ".localhost", RootCAs: s.ca.Pool()}); got != tls.X25519MLKEM768 {
			t.Errorf("post_quantum %v: a browser has %v", on, got)
		}
	}
}

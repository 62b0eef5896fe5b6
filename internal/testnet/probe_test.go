package testnet_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"trunkline/cmd/trunkline/up"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/testnet"
	"trunkline/relay"
)

// A PBX is connected while its tunnel is up; that its portal does not answer
// there is a state of its own, which staff see, and which passes.
func TestPortalThatDoesNotAnswer(t *testing.T) {
	w := testnet.Start(t, func(c *up.Config) { c.Relay.Tunnels.Probe = time.Second })
	mute := muteServer(t)
	dead := w.Connect("PROBE001", "http://"+freeAddr(t))
	silent := w.Connect("PROBE002", "http://"+mute)
	fine := w.Connect("PROBE003", w.Portal(nil).URL())
	is := func(p *testnet.PBX, want fault.Code) {
		t.Helper()
		w.Eventually(fmt.Sprintf("%s is %q", p.Serial, want), func() error {
			d, err := w.API.Device(t.Context(), p.Device)
			if err == nil && (d.Status != controlapi.StatusConnected || d.Reason != want) {
				err = fmt.Errorf("it is %s, %q", d.Status, d.Reason)
			}
			return err
		})
	}
	is(dead, fault.PortalRefused)
	is(silent, fault.PortalTimeout)
	is(fine, "")
	counted(t, w, `trunkline_relay_probes_total\{result="ok"\} [1-9]`)
}

// Nobody looks by the clock here: a visit that fails is what has the portal
// looked at, and it is looked at again until it answers.
func TestADoubtIsLookedInto(t *testing.T) {
	w := testnet.Start(t, func(c *up.Config) { c.Relay.Tunnels.Probe = 0 })
	addr := freeAddr(t)
	p := w.Connect("PROBE004", "http://"+addr)
	reason := func(want fault.Code) {
		t.Helper()
		w.Eventually(fmt.Sprintf("the reason is %q", want), func() error {
			d, err := w.API.Device(t.Context(), p.Device)
			if err == nil && (d.Status != controlapi.StatusConnected || d.Reason != want) {
				err = fmt.Errorf("it is %s, %q", d.Status, d.Reason)
			}
			return err
		})
	}
	reason("")
	v := p.Visit()
	if _, err := v.Fetch(t.Context(), "/"); err == nil {
		t.Fatal("a portal that is not there has answered")
	}
	reason(fault.PortalRefused)
	answering(t, addr)
	reason("")
}

// A visit that gets no answer has the PBX looked at long before it gives up.
func TestAWaitIsADoubt(t *testing.T) {
	more := &testnet.More{Names: []id.Relay{"relay-2"}}
	w := testnet.Start(t, func(c *up.Config) {
		more.WithRelays(c)
		c.Relay.Tunnels.Probe, c.Relay.Edge.Limits.Answer = 0, 10*time.Minute
	})
	here, there := w.Connect("PROBE005", "http://"+muteServer(t)), w.Connect("PROBE006", "http://"+muteServer(t))
	second := w.Relay(more, "relay-2", func(c *relay.Config) { c.Edge.Limits.Answer = 10 * time.Minute })
	for _, p := range []*testnet.PBX{here, there} {
		v := p.Visit()
		if p == there {
			w.Through(v, second.Addr())
		}
		ctx, cancel := context.WithCancel(t.Context())
		given := make(chan error, 1)
		go func() { _, err := v.Fetch(ctx, "/"); given <- err }()
		w.Eventually(string(p.Serial)+" is found not to answer", func() error {
			d, err := w.API.Device(t.Context(), p.Device)
			if err == nil && (d.Status != controlapi.StatusConnected || d.Reason != fault.PortalTimeout) {
				err = fmt.Errorf("it is %s, %q", d.Status, d.Reason)
			}
			return err
		})
		select {
		case err := <-given:
			t.Errorf("the visit ended first: %v", err)
		default:
		}
		cancel()
	}
}

// muteServer takes connections and says nothing.
func muteServer(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			defer c.Close()
		}
	}()
	return ln.Addr().String()
}

// answering is a portal that comes up at addr.
func answering(t *testing.T, addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.NotFoundHandler()} // any answer is one
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close() })
}

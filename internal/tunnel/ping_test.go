package tunnel_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

// words gives the types of the control messages that a relay sends.
func words(t *testing.T, control net.Conn) <-chan string {
	out := make(chan string, 10_000)
	go func() {
		defer close(out)
		for r := bufio.NewReader(control); ; {
			var n uint32
			if binary.Read(r, binary.BigEndian, &n) != nil {
				return
			}
			b := make([]byte, n)
			if _, err := io.ReadFull(r, b); err != nil {
				return
			}
			var m struct{ Type string }
			if err := json.Unmarshal(b, &m); err != nil {
				t.Errorf("%s: %v", b, err)
			}
			out <- m.Type
		}
	}()
	return out
}

// A relay answers an agent's pings, and sends none itself but to one that is silent.
func TestRelayLeavesPingingToTheAgent(t *testing.T) {
	t.Parallel()
	const ping = 200 * time.Millisecond
	s := meetStranger(t, tunnel.Config{Ping: ping})
	_, control := s.muxWith(t, false) // the relay hears nothing but this test
	said := words(t, control)
	if got := within(t, 30*time.Second, said); got != "ping" {
		t.Fatalf("a silent agent hears %q", got)
	}
	// Once is enough: where the machine stands still, the agent is silent too.
	for end := time.Now().Add(30 * time.Second); ; {
		pings, pongs := 0, 0
		for began := time.Now(); time.Since(began) < 5*ping; time.Sleep(ping / 2) {
			if _, err := control.Write(lengthed(`{"type":"ping"}`)); err != nil {
				t.Fatal(err)
			}
			switch within(t, 30*time.Second, said) {
			case "ping":
				pings++
			case "pong":
				pongs++
			}
		}
		if pings == 0 && pongs > 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("a relay that is pinged sends %d pings itself in %v", pings, 5*ping)
		}
	}
}

// counted counts what arrives: with one record at a time, as of pings, that is these.
type counted struct {
	net.Conn
	reads *atomic.Int64
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.reads.Add(1)
	}
	return n, err
}

// While somebody visits a PBX its agent soon knows that the relay does not answer.
func TestVisitedAgentAsksMoreOften(t *testing.T) {
	t.Parallel()
	pinged := func() (*world, *atomic.Int64) {
		reads := new(atomic.Int64)
		return start(t, setup{relay: tunnel.Config{Ping: time.Second}, conns: func(t testing.TB) (server, client net.Conn) {
			server, client = tcpPair(t)
			return counted{server, reads}, client
		}}), reads
	}
	visited, its := pinged()
	_, others := pinged()
	v := tunnel.Visit{ID: id.NewVisit(), Who: "Ann", Method: "account", Started: time.Now(), Idle: time.Minute}
	// pace is how many pings the visited one sends while the other one sends four.
	pace := func() int64 {
		before, since := its.Load(), others.Load()
		for end := time.Now().Add(time.Minute); others.Load() < since+4; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("no pings")
			}
		}
		return its.Load() - before
	}
	if err := visited.relay.SendVisit(v); err != nil {
		t.Fatal(err)
	}
	if n := pace(); n < 7 {
		t.Errorf("a visited agent sends %d pings while another sends four", n)
	}
	if err := visited.relay.SendVisitEnd(v.ID, fault.VisitEnded); err != nil {
		t.Fatal(err)
	}
	if n := pace(); n > 7 {
		t.Errorf("after the visit it sends %d", n)
	}
}

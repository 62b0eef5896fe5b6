package tunnel_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"testing"
	"time"

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

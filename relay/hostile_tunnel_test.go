package relay_test

import (
	"cmp"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/hashicorp/yamux"

	"trunkline/internal/fault"
)

func endedTunnel(code fault.Code) trace {
	return trace{fmt.Sprintf(`trunkline_relay_tunnels_ended_total{code="%s"}`, code), "tunnel down", code}
}

// What an admitted agent may do wrong ends its own tunnel and no other.
func TestHostileTunnels(t *testing.T) {
	s := newStage(t, quick)
	p := s.puppet(t, "3631A20C0203")
	noise := make([]byte, 4096)
	rand.NewChaCha8([32]byte{2}).Read(noise)
	noise[0] = 99 // yamux's version is 0
	ping := block(map[string]any{"type": "ping", "id": 1})
	for _, c := range []struct {
		name string
		code fault.Code
		do   func(*tls.Conn)
	}{
		{"garbage instead of frames", fault.Protocol, func(c *tls.Conn) { c.Write(noise) }},
		{"frame of no type", fault.Protocol, func(c *tls.Conn) { c.Write(frame(7, 0, 1, 0)) }},
		{"a stream towards the relay", fault.Protocol, func(c *tls.Conn) { c.Write(frame(1, 1, 2, 0)) }},
		{"a stream with data at once", fault.Protocol, func(c *tls.Conn) { c.Write(append(frame(0, 1, 2, 5), "hello"...)) }},
		{"many streams, by yamux itself", fault.Protocol, openMany},
		{"more than the window", fault.Protocol, overrun},
		{"yamux pings without end", fault.TooMany, func(c *tls.Conn) { c.Write(slices.Repeat(frame(2, 1, 0, 7), 1000)) }},
		{"control messages without end", fault.TooMany, func(c *tls.Conn) { sendControl(c, slices.Repeat(ping, 1000)) }},
		{"control message without end", fault.Protocol, func(c *tls.Conn) { sendControl(c, []byte{0xff, 0xff, 0xff, 0xff}) }},
		{"control message of no form", fault.Protocol, func(c *tls.Conn) { sendControl(c, block([]byte("status?"))) }},
		{"a portal that is no origin", fault.Protocol, func(c *tls.Conn) {
			sendControl(c, block(map[string]any{"type": "status", "status": map[string]any{"portal": map[string]any{"origin": "http://pbx\r\nX: y"}}}))
		}},
		{"no status", fault.Protocol, func(c *tls.Conn) { sendControl(c, ping) }},
		{"control stream closed", fault.ConnectionLost, func(c *tls.Conn) { c.Write(frame(1, 4, 1, 0)) }},
		{"gone", fault.ConnectionLost, func(c *tls.Conn) { c.NetConn().Close() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.leaves(t, endedTunnel(c.code), func() fault.Code {
				conn := p.admitted(t)
				defer conn.Close()
				c.do(conn)
				code, err := parting(conn)
				if err != nil {
					t.Error(err)
				}
				return cmp.Or(code, c.code) // if nothing was said, the trace alone tells
			})
		})
	}
	s.bystander.goesOn(t, 3)
}

// frame is the header of a yamux frame.
func frame(kind byte, flags uint16, stream, length uint32) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0, kind}, flags)
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, stream), length)
}

// parting is the code of the relay's goodbye, "" if it says none.
func parting(c io.Reader) (fault.Code, error) {
	var said []byte
	for {
		var head [12]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			break // however the connection ends
		}
		if head[1] != 0 {
			continue
		}
		b := make([]byte, binary.BigEndian.Uint32(head[8:]))
		if _, err := io.ReadFull(c, b); err != nil {
			return "", err
		}
		if binary.BigEndian.Uint32(head[4:]) == 1 {
			said = append(said, b...)
		}
	}
	for len(said) > 4 {
		n := 4 + int(binary.BigEndian.Uint32(said))
		if n > len(said) {
			return "", fmt.Errorf("half a control message: %q", said)
		}
		var m struct {
			Type  string
			Fault struct{ Code fault.Code }
		}
		if err := json.Unmarshal(said[4:n], &m); err != nil {
			return "", err
		}
		if m.Type == "goodbye" {
			return m.Fault.Code, nil
		}
		said = said[n:]
	}
	return "", nil
}

// sendControl sends bytes on the control stream, which is 1.
func sendControl(c *tls.Conn, b []byte) {
	for chunk := range slices.Chunk(b, 16<<10) {
		c.Write(append(frame(0, 0, 1, uint32(len(chunk))), chunk...))
	}
}

func overrun(c *tls.Conn) {
	for range 64 { // twice the largest window it could have given meanwhile
		c.Write(append(frame(0, 0, 1, 64<<10), slices.Repeat([]byte{0}, 64<<10)...))
	}
}

func openMany(c *tls.Conn) {
	cfg := yamux.DefaultConfig()
	cfg.LogOutput = io.Discard
	m, err := yamux.Server(c, cfg)
	if err != nil {
		return
	}
	defer m.Close()
	for range 100 {
		if _, err := m.Open(); err != nil {
			return
		}
	}
	<-m.CloseChan()
}

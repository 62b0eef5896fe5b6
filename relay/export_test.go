package relay

import "net"

const (
	MaxFresh            = maxFresh
	MaxHandshakes       = maxHandshakes
	MaxTunnelHandshakes = maxTunnelHandshakes
)

type Turns struct{ *turns }

func NewTurns(n int) Turns                          { return Turns{newTurns(n)} }
func (t Turns) Take()                               { t.take() }
func (t Turns) TakeFirst(done <-chan struct{}) bool { return t.takeFirst(done) }
func (t Turns) Give()                               { t.give() }
func (t Turns) Waiting() int                        { return t.waiting() }

type Handshakes struct{ *handshakes }

func NewHandshakes(rate int, pushOut func() bool) Handshakes {
	return Handshakes{newHandshakes(rate, pushOut)}
}

func (h Handshakes) Begin(c net.Conn) bool               { return h.begin(c) }
func (h Handshakes) Heard(c net.Conn)                    { h.heard(c) }
func (h Handshakes) HeardAgent(c net.Conn) (shed string) { return h.heardAgent(c) }
func (h Handshakes) GoesOn(c net.Conn)                   { h.goesOn(c) }
func (h Handshakes) End(c net.Conn)                      { h.end(c) }

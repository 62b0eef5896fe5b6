package linkmodel

import (
	"io"
	"net"
)

// Wrap is c seen through the link: what is written to it goes up, and what c
// receives comes down. It owns c, and closes it when the wrapper is closed and
// what was written has arrived, or when c breaks.
func (l *Link) Wrap(c net.Conn) net.Conn {
	near, far := l.ends()
	near.local, near.peer = c.LocalAddr(), c.RemoteAddr()
	go func() {
		if err := pass(c, far); err != nil {
			far.Close() // c takes no more
		} else if w, ok := c.(interface{ CloseWrite() error }); ok {
			_ = w.CloseWrite() // what c still has to say is read, until near is closed
			far.out.unread()
		}
		c.Close()
	}()
	go func() {
		if err := pass(far, c); err != nil {
			far.Close()
			return
		}
		_ = far.CloseWrite()
	}()
	return near
}

// passSize is small, since thousands of connections hold it while they are idle.
const passSize = 4 << 10

// pass is io.Copy in small steps.
func pass(to io.Writer, from io.Reader) error {
	// Without their ReadFrom and WriteTo, which bring buffers of their own.
	_, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, passSize))
	return err
}

package edge

import (
	"crypto/tls"
	"net"
)

// leanTLS is a TLS connection whose reader waits without a buffer of TLS's,
// and takes several records at a time.
type leanTLS struct {
	*tls.Conn
	raw leanReader
}

type leanReader interface {
	ReadLean(t *tls.Conn, b []byte) (int, error)
}

func (c leanTLS) Read(b []byte) (int, error) { return c.raw.ReadLean(c.Conn, b) }

// lean is c, read in that way if the connection below it can.
func lean(c *tls.Conn) net.Conn {
	if raw, ok := c.NetConn().(leanReader); ok {
		return leanTLS{c, raw}
	}
	return c
}

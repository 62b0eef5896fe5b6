package edge

import (
	"crypto/tls"
	"errors"
	"net"
)

// leanTLS is a TLS connection whose reader waits without a buffer of TLS's,
// and takes several records at a time; so does its writer.
type leanTLS struct {
	*tls.Conn
	raw leanConn
}

type leanConn interface {
	ReadLean(t *tls.Conn, b []byte) (int, error)
	Cork()
	Uncork() error
}

func (c leanTLS) Read(b []byte) (int, error) { return c.raw.ReadLean(c.Conn, b) }

// oneRecord is what surely fits into a record: at the beginning of a
// connection crypto/tls makes them as long as a packet.
const oneRecord = 1 << 10

func (c leanTLS) Write(b []byte) (int, error) {
	if len(b) <= oneRecord {
		return c.Conn.Write(b)
	}
	c.raw.Cork()
	n, err := c.Conn.Write(b)
	if err = errors.Join(err, c.raw.Uncork()); err != nil {
		return min(n, len(b)-1), err // what was held back may be lost
	}
	return n, nil
}

// WriteAll is Write of several pieces; corked they are few system calls.
func (c leanTLS) WriteAll(bs net.Buffers) error {
	c.raw.Cork()
	_, err := bs.WriteTo(c.Conn)
	return errors.Join(err, c.raw.Uncork())
}

// lean is c, read and written in that way if the connection below it can.
func lean(c *tls.Conn) net.Conn {
	if raw, ok := c.NetConn().(leanConn); ok {
		return leanTLS{c, raw}
	}
	return c
}

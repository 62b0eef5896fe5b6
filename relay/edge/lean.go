package edge

import (
	"crypto/tls"
	"errors"
	"net"
	"time"
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
	HangUp(t *tls.Conn, deadline time.Time) error
}

func (c leanTLS) Read(b []byte) (int, error) { return c.raw.ReadLean(c.Conn, b) }

func (c leanTLS) Write(b []byte) (int, error) {
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
	var err error
	for i := 0; i < len(bs) && err == nil; i++ {
		_, err = c.Conn.Write(bs[i])
	}
	return errors.Join(err, c.raw.Uncork())
}

// closeTime is how long the end of TLS may take to be sent.
const closeTime = time.Second

// CloseWrite ends our side, of the socket too.
func (c leanTLS) CloseWrite() error { return c.raw.HangUp(c.Conn, time.Now().Add(closeTime)) }

// Close sends the end of TLS before that of the socket, also where the raw
// connection keeps what is written outside a batch for others to send.
func (c leanTLS) Close() error {
	_ = c.CloseWrite()
	return c.Conn.Close()
}

// lean is c, read and written in that way if the connection below it can.
func lean(c *tls.Conn) net.Conn {
	if raw, ok := c.NetConn().(leanConn); ok {
		return leanTLS{c, raw}
	}
	return c
}

package evtls_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"trunkline/internal/evtls"
)

// turnwise echoes by loops and by a goroutine in turn: each word is answered by
// whoever has the connection.
type turnwise struct {
	raw    *evtls.Conn
	conn   io.ReadWriter
	away   atomic.Bool // a goroutine has it
	given  chan struct{}
	loops  atomic.Int64
	buf    [1 << 10]byte
	failed chan error
}

func (e *turnwise) ready() (again bool) {
	if e.away.Load() {
		return false
	}
	n, err := e.raw.TryRead(e.buf[:])
	if err != nil {
		if !evtls.WouldBlock(err) {
			e.failed <- err
		}
		return false
	}
	e.loops.Add(1)
	if done, err := e.raw.TryWrite(e.buf[:n]); err != nil || !done {
		e.failed <- err
	}
	e.away.Store(true)
	e.given <- struct{}{}
	return false
}

// A connection goes from loops to a goroutine and back, as it is and with TLS,
// and no byte is lost or comes twice.
func TestWhoReadsChanges(t *testing.T) {
	for _, secure := range []bool{false, true} {
		p := running(t, 2)
		client, s := tcp(t)
		raw := evtls.NewConn(p, s)
		e := &turnwise{raw: raw, conn: raw, given: make(chan struct{}, 1), failed: make(chan error, 10)}
		var server *tls.Conn
		if secure {
			server = tls.Server(raw, serverConfig(t))
			cl := tls.Client(client, clientConfig(t))
			shake(t, cl, server)
			client, e.conn = cl, lean{server, raw}
		}
		if !raw.Pollable() {
			t.Fatal(p.Err())
		}
		if err := raw.Watch(server, e.ready); err != nil {
			t.Fatal(err)
		}
		go func() {
			for range e.given {
				if e.loops.Load()%2 == 0 {
					raw.Blocking(true)
				} else {
					raw.Unwatch()
				}
				n, err := e.conn.Read(e.buf[:])
				if err != nil {
					e.failed <- err
					return
				}
				raw.Cork()
				_, _ = e.conn.Write(e.buf[:n])
				if err := raw.Uncork(); err != nil {
					e.failed <- err
				}
				if e.loops.Load()%2 == 0 {
					raw.Blocking(false)
				} else if err := raw.Rewatch(); err != nil {
					e.failed <- err
				}
				e.away.Store(false)
				if raw.Pending() {
					raw.Wake()
				}
			}
		}()
		_ = client.SetDeadline(time.Now().Add(limit))
		for i := range 400 {
			want := random(byte(i), 1+i)
			if _, err := client.Write(want); err != nil {
				t.Fatal(err)
			}
			if got := readAll(t, client, len(want)); !bytes.Equal(got, want) {
				t.Fatalf("TLS %v, word %d: other bytes came back", secure, i)
			}
		}
		select {
		case err := <-e.failed:
			t.Errorf("TLS %v: %v", secure, err)
		default:
		}
		if n := e.loops.Load(); n != 200 {
			t.Errorf("TLS %v: loops had %d words of 400", secure, n)
		}
		raw.Close()
		close(e.given)
	}
}

// lean reads TLS as a goroutine does that shares with a loop.
type lean struct {
	*tls.Conn
	raw *evtls.Conn
}

func (l lean) Read(b []byte) (int, error) { return l.raw.ReadLean(l.Conn, b) }

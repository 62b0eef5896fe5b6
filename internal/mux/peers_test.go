package mux_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	hashicorp "github.com/hashicorp/yamux"
	libp2p "github.com/libp2p/go-yamux/v5"

	"trunkline/internal/mux"
)

// stream is what all implementations have in common.
type stream interface {
	net.Conn
	CloseWrite() error
	Reset()
}

// peer is one end of a session.
type peer interface {
	open(t testing.TB) stream
	accept(t testing.TB) stream
	ping(t testing.TB)
	close()
}

type implementation struct {
	name string
	make func(t testing.TB, c net.Conn, client bool) peer
}

var implementations = []implementation{{"ours", newOurs}, {"hashicorp", newHashicorp}, {"libp2p", newLibp2p}}

// ours is a Session with a goroutine that reads.
type ours struct {
	*mux.Session
	conn     net.Conn
	accepted chan *mux.Stream
	ended    chan struct{}
}

func newOurs(t testing.TB, c net.Conn, client bool) peer {
	return drive(t, c, mux.Config{Client: client})
}

func drive(_ testing.TB, c net.Conn, cfg mux.Config) *ours {
	o := &ours{conn: c, accepted: make(chan *mux.Stream, 1024), ended: make(chan struct{})}
	cfg.Write = func(b []byte) error { _, err := c.Write(b); return err }
	cfg.Addrs = c
	if cfg.Accept == nil {
		cfg.Accept = func(s *mux.Stream) { o.accepted <- s }
	}
	if cfg.Window == 0 {
		cfg.Window = 4 << 20
	}
	o.Session = mux.New(cfg)
	go func() {
		defer close(o.ended)
		var r mux.Reader
		defer r.Release()
		for {
			n, err := c.Read(r.Room())
			if n > 0 {
				err = errors.Join(r.Took(o.Session, n), err)
			}
			if err != nil {
				o.Fail(err)
				c.Close()
				return
			}
		}
	}()
	return o
}

func (o *ours) open(t testing.TB) stream {
	s, err := o.Open(nil)
	if err != nil {
		t.Error(err)
		return nil
	}
	return s
}

func (o *ours) accept(t testing.TB) stream {
	select {
	case s := <-o.accepted:
		return s
	case <-time.After(patience):
		t.Error("no stream came")
		return nil
	}
}

func (o *ours) ping(t testing.TB) {
	o.Ping()
	for end := time.Now().Add(patience); o.RTT() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Error("no answer to a ping")
			return
		}
	}
}

func (o *ours) close() { o.conn.Close(); <-o.ended }

const patience = 30 * time.Second

type theirs[S stream] struct {
	openStream   func() (S, error)
	acceptStream func() (S, error)
	pingPeer     func() (time.Duration, error)
	goAway       func() error // says that no more streams are taken
	end          func() error
}

func (p theirs[S]) open(t testing.TB) stream {
	s, err := p.openStream()
	if err != nil {
		t.Error(err)
	}
	return s
}

func (p theirs[S]) accept(t testing.TB) stream {
	s, err := p.acceptStream()
	if err != nil {
		t.Error(err)
	}
	return s
}

func (p theirs[S]) ping(t testing.TB) {
	if _, err := p.pingPeer(); err != nil {
		t.Errorf("a ping: %v", err)
	}
}

func (p theirs[S]) away() error { return p.goAway() }
func (p theirs[S]) close()      { _ = p.end() }

// hashicorpStream has half-closes under another name, and no reset of its own.
type hashicorpStream struct{ *hashicorp.Stream }

func (s hashicorpStream) CloseWrite() error { return s.Close() }
func (s hashicorpStream) Reset()            { _ = s.Close() }

func newHashicorp(t testing.TB, c net.Conn, client bool) peer {
	cfg := hashicorp.DefaultConfig()
	cfg.LogOutput = io.Discard
	make := hashicorp.Server
	if client {
		make = hashicorp.Client
	}
	s, err := make(c, cfg)
	if err != nil {
		t.Fatal(err)
	}
	wrap := func(s *hashicorp.Stream, err error) (hashicorpStream, error) { return hashicorpStream{s}, err }
	return theirs[hashicorpStream]{
		func() (hashicorpStream, error) { return wrap(s.OpenStream()) },
		func() (hashicorpStream, error) { return wrap(s.AcceptStream()) },
		s.Ping, s.GoAway, s.Close,
	}
}

type libp2pStream struct{ *libp2p.Stream }

func (s libp2pStream) Reset() { _ = s.Stream.Reset() }

func newLibp2p(t testing.TB, c net.Conn, client bool) peer {
	cfg := libp2p.DefaultConfig()
	cfg.LogOutput = io.Discard
	make := libp2p.Server
	if client {
		make = libp2p.Client
	}
	s, err := make(c, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	wrap := func(s *libp2p.Stream, err error) (libp2pStream, error) { return libp2pStream{s}, err }
	return theirs[libp2pStream]{
		func() (libp2pStream, error) { return wrap(s.OpenStream(t.Context())) },
		func() (libp2pStream, error) { return wrap(s.AcceptStream()) },
		s.Ping, s.GoAway, s.Close,
	}
}

// transports give the two ends of a connection.
var transports = []struct {
	name string
	make func(testing.TB) (a, b net.Conn)
}{{"pipe", func(testing.TB) (net.Conn, net.Conn) { return net.Pipe() }}, {"tcp", tcpPair}, {"tls", tlsPair}}

func tcpPair(t testing.TB) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

var testCert = sync.OnceValue(func() tls.Certificate {
	pub, priv, _ := ed25519.GenerateKey(rand.Reader)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, pub, priv)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: priv}
})

func tlsPair(t testing.TB) (a, b net.Conn) {
	a, b = tcpPair(t)
	return tls.Client(a, &tls.Config{InsecureSkipVerify: true}), tls.Server(b, &tls.Config{Certificates: []tls.Certificate{testCert()}})
}

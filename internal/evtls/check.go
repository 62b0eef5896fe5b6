package evtls

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"
)

// checked is why crypto/tls cannot be read this way. It is found out once, by
// doing it: a real exchange, cut at every few bytes.
var checked = sync.OnceValue(func() error {
	lending = findBuffers() == nil
	err := exchange()
	if err != nil && lending {
		lending = false // memory is worth less than bytes
		err = exchange()
	}
	if err != nil {
		return fmt.Errorf("evtls: check of crypto/tls: %w", err)
	}
	return nil
})

const checkTime = 10 * time.Second

var errExchange = errors.New("other bytes came than were sent")

func exchange() error {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	deadline := time.Now().Add(checkTime)
	_, _ = near.SetDeadline(deadline), far.SetDeadline(deadline)
	cert, err := checkCertificate()
	if err != nil {
		return err
	}
	sent := &tape{Conn: far}
	client := tls.Client(sent, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, DynamicRecordSizingDisabled: true})
	raw := NewConn(nil, near)
	server := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true})
	shaken := make(chan error, 1)
	go func() { shaken <- client.Handshake() }()
	if err := errors.Join(server.Handshake(), <-shaken); err != nil {
		return err
	}
	sent.recording = true
	raw.tls, raw.now = server, sent.play
	b := make([]byte, segmentSize)
	for _, try := range []func() ([]byte, error){
		func() ([]byte, error) {
			n, err := raw.TryRead(b)
			return b[:n], err
		},
		func() ([]byte, error) {
			_, parts, err := raw.TryTake(func() Room { return checkRoom(b) })
			return bytes.Join(parts, nil), err
		},
	} {
		for i, size := range []int{1, 40_000, 20_000} {
			want := bytes.Repeat([]byte{byte('a' + i)}, size)
			if _, err := client.Write(want); err != nil {
				return err
			}
			if err := read(raw, sent, want, try); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkRoom is a room that nobody holds but its reader.
type checkRoom []byte

func (r checkRoom) Bytes() []byte { return r }
func (checkRoom) Alone() bool     { return true }
func (checkRoom) Release()        {}

// read reads want as it comes, and looks at crypto/tls's buffers in between.
func read(c *Conn, from *tape, want []byte, try func() ([]byte, error)) error {
	got := make([]byte, 0, len(want))
	for from.recorded.Len() > 0 {
		b, err := try()
		if err != nil && !WouldBlock(err) {
			return err
		}
		got = append(got, b...)
		if lending && WouldBlock(err) && rawInput(c.tls).Len() != from.partial() {
			return errOtherTLS
		}
	}
	for {
		b, err := try()
		if got = append(got, b...); err == nil {
			continue
		}
		if !WouldBlock(err) || !bytes.Equal(got, want) {
			return errors.Join(errExchange, err)
		}
		break
	}
	if lending && (rawInput(c.tls).Cap() > 0 || c.lent != nil || c.taken != nil) {
		return errOtherTLS
	}
	return nil
}

// tape keeps what its TLS writes, and plays it to the other end.
type tape struct {
	net.Conn
	recording bool
	recorded  bytes.Buffer
	head      []byte // of the record that plays
	left      int    // of its body
	pause     bool
}

func (t *tape) Write(b []byte) (int, error) {
	if t.recording {
		return t.recorded.Write(b)
	}
	return t.Conn.Write(b)
}

// play gives 777 bytes, none, 777 bytes, none...
func (t *tape) play(c *Conn, b []byte) (int, error) {
	if t.pause = !t.pause; t.pause {
		c.pending.Store(true)
		return 0, ErrWouldBlock
	}
	n, _ := t.recorded.Read(b[:min(len(b), 777)])
	if n == 0 {
		return 0, ErrWouldBlock
	}
	t.follow(b[:n])
	return n, nil
}

// follow keeps count of where in a record the tape stands.
func (t *tape) follow(b []byte) {
	for len(b) > 0 {
		if t.left == 0 && len(t.head) == 5 {
			t.head = t.head[:0]
		}
		if len(t.head) < 5 {
			t.head, b = append(t.head, b[0]), b[1:]
			if len(t.head) == 5 {
				t.left = int(t.head[3])<<8 | int(t.head[4])
			}
			continue
		}
		n := min(t.left, len(b))
		t.left -= n
		b = b[n:]
	}
}

// partial is how much of a record has been played, if not all of it.
func (t *tape) partial() int {
	switch {
	case len(t.head) < 5:
		return len(t.head)
	case t.left == 0:
		return 0
	}
	return 5 + (int(t.head[3])<<8 | int(t.head[4])) - t.left
}

func checkCertificate() (tls.Certificate, error) {
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	x := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), DNSNames: []string{"check"}}
	der, err := x509.CreateCertificate(nil, x, x, pub, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

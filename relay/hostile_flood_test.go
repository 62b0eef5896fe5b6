package relay_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"trunkline/cmd/trunkline/up"
	"trunkline/internal/fault"
	"trunkline/internal/logtest"
	"trunkline/internal/testnet"
	"trunkline/internal/visitor"
)

// connect is a TCP connection to the public port and nothing more.
func (s *stage) connect(t *testing.T) net.Conn {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", s.Up.Relay.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// clientHello is the first flight of a real handshake.
func clientHello(t *testing.T, sni string) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	defer theirs.Close()
	go tls.Client(ours, &tls.Config{ServerName: sni}).Handshake()
	defer ours.Close()
	b := make([]byte, 4096)
	n, err := theirs.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// Strangers who begin handshakes and go no further keep nobody out, though
// they come faster than their time runs out.
func TestHostileHandshakes(t *testing.T) {
	s := newStage(t, nil)
	p := s.puppet(t, "3631A20C0700")
	hello := clientHello(t, s.host(s.pbx))
	for name, first := range map[string][]byte{"silent": nil, "half a hello": hello[:len(hello)/2], "whole hello": hello} {
		t.Run(name, func(t *testing.T) {
			var held []net.Conn
			for range 300 {
				c := s.connect(t)
				c.Write(first)
				held = append(held, c)
			}
			s.bystander.goesOn(t, 20)
			p.admitted(t).Close()
			for _, c := range held {
				c.Close()
			}
		})
	}
	testnet.Eventually(t, "all are counted out", func() error {
		if n := s.metrics(t)[`trunkline_relay_connections_total{kind="failed"}`]; n < 900 {
			return fmt.Errorf("%v failed", n)
		}
		return nil
	})
}

// Beyond the bound of handshakes, those who stand still make room: they are
// pushed out, and do not only run out of time. It is told by what ended them,
// and not by how long it took, which is the machine's.
func TestHostileHandshakesBeyondTheBound(t *testing.T) {
	core, logs := logtest.New(zapcore.DebugLevel)
	s := &stage{World: testnet.StartLogged(t, zap.New(core), nil), secrets: map[string]string{}, logs: logs}
	p := s.Connect("3631A20C0701", s.Portal(nil).URL())
	v := p.Visit()
	dialsAnew(v)
	for name, first := range map[string][]byte{"silent": nil, "whole hello": clientHello(t, s.host(p))} {
		t.Run(name, func(t *testing.T) {
			logs.TakeAll()
			for range 2300 {
				s.connect(t).Write(first)
			}
			testnet.Eventually(t, "a visitor gets in", func() error {
				_, err := get(t, v, "/test/1kb")
				return err
			})
			// A machine that is so busy that time runs out before the bound is
			// reached has to be asked again.
			testnet.Eventually(t, "those who stood still are pushed out", func() error {
				if pushed, late := s.handshakesEnded(); pushed == 0 {
					for range 2300 {
						s.connect(t).Write(first)
					}
					return fmt.Errorf("of the handshakes none was pushed out, and %d ran out of time", late)
				}
				return nil
			})
			for range 20 {
				if _, err := get(t, v, "/test/1kb"); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// handshakesEnded counts those that the relay closed under way, and those whose
// time was over.
func (s *stage) handshakesEnded() (pushed, late int) {
	for _, e := range s.logs.FilterMessage("handshake").All() {
		for _, f := range e.Context {
			err, ok := f.Interface.(error)
			switch {
			case !ok:
			case errors.Is(err, net.ErrClosed):
				pushed++
			case errors.Is(err, context.DeadlineExceeded):
				late++
			}
		}
	}
	return pushed, late
}

// A head that comes a byte at a time has a time to be whole in.
func TestHostileSlowHeads(t *testing.T) {
	s := newStage(t, func(c *up.Config) { c.Relay.Edge.Limits.Header = 500 * time.Millisecond })
	var wg sync.WaitGroup
	began := time.Now()
	for range 100 {
		conn := s.open(t, s.host(s.pbx))
		wg.Go(func() {
			go func() {
				for _, b := range []byte("GET / HTTP/1.1\r\nHost: " + s.authority(s.pbx) + "\r\nX-Slow: yes, very\r\n") {
					if _, err := conn.Write([]byte{b}); err != nil {
						return
					}
					time.Sleep(50 * time.Millisecond)
				}
			}()
			a, err := hear(bufio.NewReader(conn), http.MethodGet)
			if err != nil || a.code() != fault.HelloTimeout {
				t.Errorf("a slow head: %s, %v", a.code(), err)
			}
			conn.Close()
		})
	}
	s.leaves(t, edgeFault(fault.HelloTimeout), func() fault.Code { wg.Wait(); return fault.HelloTimeout })
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the slow were cut off after %v", took)
	}
	s.bystander.goesOn(t, 5)
}

// heap is what is in use after a collection, in MiB.
func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapInuse) / (1 << 20)
}

// Downloads that nobody reads hold a bounded amount, and hold up nobody: not
// even other visitors of the same PBX.
func TestHostileStalledDownloads(t *testing.T) {
	const stalled, window = stalledDownloads, 256 << 10 // an eighth of the default, to fill it faster
	s := newStage(t, func(c *up.Config) { c.Relay.Tunnels.Window = window })
	cookie := s.cookie(t, s.visitor)
	neighbour := s.pbx.Visit()
	base := heap()
	for range stalled {
		conn := s.open(t, s.host(s.pbx))
		conn.NetConn().(*net.TCPConn).SetReadBuffer(4 << 10)
		io.WriteString(conn, "GET /test/bytes?size=1073741824 HTTP/1.1\r\nHost: "+s.authority(s.pbx)+"\r\nCookie: "+cookie+"\r\n\r\n")
		conn.Read(make([]byte, 1))
	}
	settled(t)
	grown := heap() - base
	t.Logf("%d stalled downloads: %.0f MiB of heap, that is %.2f MiB each, of relay, agent, portal and browsers", stalled, grown, grown/stalled)
	// A segment is held by what is left of any of the streams that share it.
	if most := pooled + stalled*(2*window+320<<10)/float64(1<<20); grown > most {
		t.Errorf("more than windows and buffers: %.0f MiB", most)
	}
	fetchesOn(t, neighbour, 50)
	s.bystander.goesOn(t, 20)
}

// settled waits until the heap grows no more.
func settled(t *testing.T) {
	t.Helper()
	last := heap()
	testnet.Eventually(t, "the heap grows no more", func() error {
		time.Sleep(300 * time.Millisecond) // a window fills faster
		now := heap()
		grown := now - last
		last = now
		if grown > 4 {
			return fmt.Errorf("%.0f MiB, %.1f more than just before", now, grown)
		}
		return nil
	})
}

func fetchesOn(t *testing.T, v *visitor.Visitor, n int) {
	t.Helper()
	began := time.Now()
	for range n {
		if a, err := get(t, v, "/test/64kb"); err != nil || len(a.body) != 64<<10 {
			t.Fatalf("a visitor of the same PBX: %v, %v", a.Response, err)
		}
	}
	t.Logf("a visitor of the same PBX got %d pages of 64 KiB at %v each", n, time.Since(began)/time.Duration(n))
}

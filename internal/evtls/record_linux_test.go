package evtls

import (
	"crypto/tls"
	"fmt"
	"net"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sink is a connection that takes everything, once it is on.
type sink struct {
	net.Conn
	on bool
}

func (s *sink) Write(b []byte) (int, error) {
	if s.on {
		return len(b), nil
	}
	return s.Conn.Write(b)
}

// secured is a server's end as the relay has it, and what a client that writes
// to it leaves on a tape, of which give has so many bytes come. What the server
// writes goes nowhere.
func secured(b testing.TB) (raw *Conn, server, client *tls.Conn, sent *tape, give func(int)) {
	b.Helper()
	near, far := net.Pipe()
	b.Cleanup(func() { near.Close(); far.Close() })
	cert, err := checkCertificate()
	if err != nil {
		b.Fatal(err)
	}
	sent = &tape{Conn: far}
	client = tls.Client(sent, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, DynamicRecordSizingDisabled: true})
	into := &sink{Conn: near}
	raw = NewConn(nil, into)
	server = tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, DynamicRecordSizingDisabled: true, SessionTicketsDisabled: true})
	shaken := make(chan error, 1)
	go func() { shaken <- client.Handshake() }()
	if err := server.Handshake(); err != nil {
		b.Fatal(err)
	}
	if err := <-shaken; err != nil {
		b.Fatal(err)
	}
	if cs := server.ConnectionState(); cs.CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
		b.Fatalf("the cipher is %s", tls.CipherSuiteName(cs.CipherSuite))
	}
	into.on, sent.recording = true, true
	raw.tls = server
	due := 0
	raw.now = func(c *Conn, b []byte) (int, error) { // as readNow
		if !c.pending.Swap(false) {
			return 0, ErrWouldBlock
		}
		n, err := sent.recorded.Read(b[:min(len(b), due)])
		if due -= n; due > 0 {
			c.pending.Store(true)
		}
		return n, err
	}
	return raw, server, client, sent, func(n int) { due = n; raw.pending.Store(true) }
}

// watch is the CPU time of a thread: what others on the machine do is not in it.
type watch struct{ sum, began time.Duration }

func threadTime(b *testing.B) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return time.Duration(t.Nano())
}

func (w *watch) start(b *testing.B) { b.StartTimer(); w.began = threadTime(b) }
func (w *watch) stop(b *testing.B)  { w.sum += threadTime(b) - w.began; b.StopTimer() }

func (w *watch) report(b *testing.B) {
	b.ReportMetric(float64(w.sum.Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// BenchmarkRecords is what the relay pays for a batch of records beside system
// calls, and what the cipher alone takes of that. The difference is the most that
// a record layer of our own would save (docs/adr/0039).
func BenchmarkRecords(b *testing.B) {
	if err := checked(); err != nil {
		b.Fatal(err)
	}
	const record = 16 << 10
	aead, err := newGCM(make([]byte, 16))
	if err != nil {
		b.Fatal(err)
	}
	nonce, head := make([]byte, 12), make([]byte, 5)
	for _, size := range []int{1 << 10, 64 << 10} {
		plain := make([]byte, size)
		run := func(name string, f func(b *testing.B, w *watch)) {
			b.Run(fmt.Sprintf("%s/size=%dKiB", name, size>>10), func(b *testing.B) {
				b.ReportAllocs()
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				var w watch
				w.start(b)
				f(b, &w)
				w.stop(b)
				w.report(b)
			})
		}
		sealed := func(out []byte) []byte {
			for p := plain; len(p) > 0; p = p[min(len(p), record):] {
				out = aead.Seal(out, nonce, p[:min(len(p), record)], head)
			}
			return out
		}
		run("write/by=cipher", func(b *testing.B, _ *watch) {
			out := sealed(nil)
			for b.Loop() {
				out = sealed(out[:0])
			}
		})
		run("write/by=crypto-tls", func(b *testing.B, w *watch) {
			raw, server, _, _, _ := secured(b)
			*w = watch{began: threadTime(b)} // without the handshake
			for b.Loop() {
				raw.Cork()
				if _, err := server.Write(plain); err != nil {
					b.Fatal(err)
				}
				if err := raw.Uncork(); err != nil {
					b.Fatal(err)
				}
			}
		})
		run("read/by=cipher", func(b *testing.B, _ *watch) {
			in, out := sealed(nil), make([]byte, 0, record)
			for b.Loop() {
				for p := in; len(p) > 0; p = p[min(len(p), record+aead.Overhead()):] {
					if _, err := aead.Open(out, nonce, p[:min(len(p), record+aead.Overhead())], head); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
		run("read/by=crypto-tls", func(b *testing.B, w *watch) {
			raw, _, client, sent, give := secured(b)
			to := make([]byte, segmentSize/2) // as a tunnel is read
			wire := 0
			*w = watch{began: threadTime(b)}
			for b.Loop() {
				if sent.recorded.Len() == 0 {
					w.stop(b)
					for range 1 << 20 / size {
						if _, err := client.Write(plain); err != nil {
							b.Fatal(err)
						}
					}
					wire = sent.recorded.Len() / (1 << 20 / size)
					w.start(b)
				}
				give(wire)
				for left := size; left > 0; {
					n, err := raw.TryRead(to)
					if err != nil {
						b.Fatal(err)
					}
					left -= n
				}
				if _, err := raw.TryRead(to); !WouldBlock(err) {
					b.Fatal(err)
				}
			}
		})
	}
}

package evtls_test

import (
	"crypto/tls"
	"os"
	"runtime"
	"testing"
	"time"

	"trunkline/internal/evtls"
)

// crowd is n watched connections, each of which has carried 64 KiB each way.
func crowd(t testing.TB, p *evtls.Poller, n int) (close func()) {
	t.Helper()
	ends := make([]func(), n)
	for i := range ends {
		client, server, raw := secured(t, p, nil)
		s := watch(t, server, 64<<10)
		b := random(1, 64<<10)
		go client.Write(b)
		s.next(t, len(b))
		go func() {
			raw.Cork()
			_, _ = server.Write(b)
			_ = raw.Uncork()
		}()
		readAll(t, client, len(b))
		ends[i] = func() {
			client.NetConn().Close()
			if err := s.end(t); err == nil {
				t.Error("no error")
			}
		}
	}
	return func() {
		for _, end := range ends {
			end()
		}
	}
}

func descriptors(t testing.TB) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(d)
}

func TestClosedConnectionsLeaveNothing(t *testing.T) {
	p := running(t, 2)
	crowd(t, p, 10)() // what is made once
	fds, goroutines, slots := descriptors(t), runtime.NumGoroutine(), evtls.Slots(p)
	for range 10 {
		crowd(t, p, 100)()
	}
	deadline := time.Now().Add(limit)
	for descriptors(t) > fds || runtime.NumGoroutine() > goroutines || evtls.Slots(p) > slots {
		if time.Now().After(deadline) {
			t.Fatalf("%d descriptors before, %d after; %d and %d goroutines; %d and %d slots",
				fds, descriptors(t), goroutines, runtime.NumGoroutine(), slots, evtls.Slots(p))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// memory is what the process's heap and stacks take, garbage aside.
func memory() uint64 {
	for range 3 { // pools take two collections to let go
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// The clients are another process: their keys and buffers would be more than
// what is looked for.
func TestIdleConnectionsCostLittle(t *testing.T) {
	if raceDetector {
		t.Skip("its memory is not ours")
	}
	const n, most = 2000, 8 << 10
	p := running(t, 1)
	ln := listen(t)
	clients(t, ln.Addr().String(), n)
	before := memory()
	for range n {
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		raw := evtls.NewConn(p, c)
		server := tls.Server(raw, serverConfig(t))
		if err := server.Handshake(); err != nil {
			t.Fatal(err)
		}
		echo(t, raw, server)
	}
	after := memory()
	each := (int64(after) - int64(before)) / n
	t.Logf("%d bytes of heap and stacks for each of %d connections, idle after %d KiB each way", each, n, carried>>10)
	if each > most {
		t.Errorf("more than %d", most)
	}
}

// scratch is for one connection at a time.
var scratch [64 << 10]byte

// echo sends back what comes, and returns when carried bytes have.
func echo(t *testing.T, raw *evtls.Conn, server *tls.Conn) {
	left, done := carried, make(chan error, 1)
	if err := raw.Watch(server, func() bool {
		b := scratch[:]
		n, err := raw.TryRead(b)
		if evtls.WouldBlock(err) {
			return false
		}
		raw.Cork()
		_, _ = server.Write(b[:n])
		_ = raw.Uncork()
		if left -= n; left == 0 || err != nil {
			select {
			case done <- err:
			default:
			}
		}
		return err == nil
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(limit):
		t.Fatalf("%d bytes to come", left)
	}
}

func BenchmarkRead(b *testing.B) {
	for name, p := range map[string]*evtls.Poller{"by=loop": running(b, 1), "by=goroutine": blocking(b)} {
		b.Run(name, func(b *testing.B) {
			client, server, raw := secured(b, p, nil)
			const mib = 1 << 20
			total := b.N * mib
			done := make(chan error, 1)
			buf := make([]byte, 64<<10)
			got := 0
			b.SetBytes(mib)
			b.ReportAllocs()
			b.ResetTimer()
			reads := evtls.CountReads(raw)
			if err := raw.Watch(server, func() bool {
				n, err := raw.TryRead(buf)
				if got += n; got == total || err != nil && !evtls.WouldBlock(err) {
					select {
					case done <- err:
					default:
					}
				}
				return err == nil
			}); err != nil {
				b.Fatal(err)
			}
			go func() {
				chunk := make([]byte, 64<<10)
				for range total / len(chunk) {
					_, _ = client.Write(chunk)
				}
			}()
			if err := <-done; err != nil && !evtls.WouldBlock(err) {
				b.Fatal(err)
			}
			b.StopTimer()
			if n := reads(); n > 0 {
				b.ReportMetric(float64(n)/float64(b.N), "reads/MiB")
			}
			raw.Close()
		})
	}
}

func TestReadingAllocatesLittle(t *testing.T) {
	if raceDetector {
		t.Skip("it empties pools")
	}
	p := running(t, 1)
	client, server, _ := secured(t, p, nil)
	raw := server.NetConn().(*evtls.Conn)
	got := make(chan struct{})
	if err := raw.Watch(server, func() bool {
		_, err := raw.TryRead(scratch[:])
		if err == nil {
			got <- struct{}{}
		}
		return err == nil
	}); err != nil {
		t.Fatal(err)
	}
	b := []byte("hello")
	// What crypto/tls would allocate for a read of the socket it does not: we read.
	if n := testing.AllocsPerRun(1000, func() { client.Write(b); <-got }); n >= 1 {
		t.Errorf("%v allocations for a small message", n)
	}
}

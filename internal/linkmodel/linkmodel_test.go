package linkmodel_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"trunkline/internal/linkmodel"
)

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{})
	_, _ = r.Read(b)
	return b
}

// send writes b to one end and reads it from the other, and says when the
// writer was rid of it and when the reader had it.
func send(t *testing.T, from, to net.Conn, b []byte) (written, read time.Duration) {
	t.Helper()
	start := time.Now()
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := from.Write(b); err != nil {
			t.Error(err)
		}
		written = time.Since(start)
	})
	got := make([]byte, len(b))
	if _, err := io.ReadFull(to, got); err != nil {
		t.Error(err)
	}
	read = time.Since(start)
	wg.Wait()
	if !bytes.Equal(got, b) {
		t.Error("bytes were lost or changed")
	}
	return written, read
}

func near(got, want, within time.Duration) bool { return got >= want-within && got <= want+within }

func TestRateAndDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := func(what string, c linkmodel.Config, size int, written, read time.Duration) {
			t.Helper()
			l := linkmodel.New(c)
			a, b := l.Pipe()
			defer a.Close()
			defer b.Close()
			w, r := send(t, a, b, noise(size))
			if !near(w, written, 20*time.Millisecond) || !near(r, read, 20*time.Millisecond) {
				t.Errorf("%s: written in %v and read in %v; want %v and %v", what, w, r, written, read)
			}
			if n := l.Up(); n.Bytes != int64(size) || n.Lost != 0 || l.Down().Bytes != 0 {
				t.Errorf("%s: counted %+v up and %+v down", what, n, l.Down())
			}
		}
		// What the queue holds when the writer is done: 64 KiB are 0.52 s at 1 Mbit/s.
		f("1 Mbit/s", linkmodel.Symmetric(linkmodel.Mbit, 100*time.Millisecond), 1_000_000, 7476*time.Millisecond, 8050*time.Millisecond)
		f("10 Mbit/s", linkmodel.Symmetric(10*linkmodel.Mbit, 20*time.Millisecond), 1_000_000, 748*time.Millisecond, 810*time.Millisecond)
		f("fits into the queue", linkmodel.Symmetric(linkmodel.Mbit, 100*time.Millisecond), 50_000, 0, 450*time.Millisecond)
		f("no limit", linkmodel.Symmetric(0, 100*time.Millisecond), 1_000_000, 0, 50*time.Millisecond)
		deep := linkmodel.Symmetric(linkmodel.Mbit, 0)
		deep.Up.Queue = 1 << 20
		f("a deep queue", deep, 1_000_000, 0, 8*time.Second)
	})
}

func TestDirectionsDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := linkmodel.New(linkmodel.Config{
			Up: linkmodel.Path{Rate: linkmodel.Mbit, Delay: 10 * time.Millisecond}, Down: linkmodel.Path{Rate: 8 * linkmodel.Mbit, Delay: 70 * time.Millisecond},
		})
		a, b := l.Pipe()
		defer a.Close()
		defer b.Close()
		if _, up := send(t, a, b, noise(100_000)); !near(up, 810*time.Millisecond, 20*time.Millisecond) {
			t.Errorf("up took %v", up)
		}
		if _, down := send(t, b, a, noise(100_000)); !near(down, 170*time.Millisecond, 20*time.Millisecond) {
			t.Errorf("down took %v", down)
		}
	})
}

// An urgent byte finds the queue of its link before it, whosever it is.
func TestConnectionsShareTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := linkmodel.Symmetric(10*linkmodel.Mbit, 20*time.Millisecond)
		c.Up.Queue = 125_000 // 100 ms
		l := linkmodel.New(c)
		bulk, bulkFar := l.Pipe()
		small, smallFar := l.Pipe()
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = io.Copy(io.Discard, bulkFar) })
		wg.Go(func() { _, _ = bulk.Write(make([]byte, 5<<20)) })
		time.Sleep(time.Second)
		if _, took := send(t, small, smallFar, []byte("?")); !near(took, 110*time.Millisecond, 5*time.Millisecond) {
			t.Errorf("an urgent byte took %v", took)
		}
		for _, c := range []net.Conn{bulk, bulkFar, small, smallFar} {
			c.Close()
		}
		wg.Wait()
	})
}

// Two that send at once get half the link each.
func TestTurnsAreFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := linkmodel.New(linkmodel.Symmetric(10*linkmodel.Mbit, 0))
		var took [2]time.Duration
		var wg sync.WaitGroup
		for i := range took {
			a, b := l.Pipe()
			wg.Go(func() {
				defer a.Close()
				defer b.Close()
				_, took[i] = send(t, a, b, noise(1_000_000))
			})
		}
		wg.Wait()
		for _, d := range took {
			if !near(d, 1600*time.Millisecond, 60*time.Millisecond) {
				t.Errorf("they took %v", took)
			}
		}
	})
}

// A lost packet is late, and holds up what is behind it; nothing is missing.
func TestLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := linkmodel.Symmetric(10*linkmodel.Mbit, 100*time.Millisecond)
		c.Up.Loss = 0.02
		l := linkmodel.New(c)
		a, b := l.Pipe()
		defer a.Close()
		defer b.Close()
		send(t, a, b, noise(2_000_000))
		n := l.Up()
		if share := float64(n.Lost) / float64(n.Packets); share < 0.01 || share > 0.03 {
			t.Errorf("lost %d of %d packets", n.Lost, n.Packets)
		}

		c.Up.Loss = 1
		l = linkmodel.New(c)
		a, b = l.Pipe()
		defer a.Close()
		defer b.Close()
		if _, took := send(t, a, b, []byte("?")); !near(took, 850*time.Millisecond, time.Millisecond) {
			t.Errorf("a packet lost eight times took %v", took)
		}
	})
}

func TestWindowIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := linkmodel.New(linkmodel.Config{}).Pipe()
		defer a.Close()
		defer b.Close()
		_ = a.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := a.Write(make([]byte, 64<<20))
		if !errors.Is(err, os.ErrDeadlineExceeded) || n < 4<<20 || n > 5<<20 {
			t.Errorf("nobody reads, and %d bytes were taken: %v", n, err)
		}
	})
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := linkmodel.New(linkmodel.Symmetric(linkmodel.Mbit, 0))
		a, b := l.Pipe()
		defer a.Close()
		defer b.Close()
		start := time.Now()
		late := func(what string, err error, want time.Duration) {
			t.Helper()
			if got := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || got != want {
				t.Errorf("%s: %v after %v, want %v", what, err, got, want)
			}
			var timeout net.Error
			if !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("%s: %v is no timeout", what, err)
			}
			start = time.Now()
		}
		_ = a.SetDeadline(start.Add(time.Second))
		_, err := a.Read(make([]byte, 1))
		late("reading", err, time.Second)
		_, err = a.Write(make([]byte, 1))
		late("writing after it", err, 0)

		_ = a.SetReadDeadline(time.Time{})
		time.AfterFunc(2*time.Second, func() { _ = a.SetReadDeadline(time.Now()) })
		_, err = a.Read(make([]byte, 1))
		late("moved while somebody reads", err, 2*time.Second)

		_ = a.SetWriteDeadline(start.Add(100 * time.Millisecond))
		_, err = a.Write(make([]byte, 1<<20))
		late("the queue is full", err, 100*time.Millisecond)

		_ = a.SetWriteDeadline(time.Time{})
		if n, err := a.Write([]byte("more")); n != 4 || err != nil {
			t.Errorf("without a deadline: %d, %v", n, err)
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := linkmodel.New(linkmodel.Symmetric(linkmodel.Mbit, 100*time.Millisecond))
		a, b := l.Pipe()
		if _, err := a.Write([]byte("bye")); err != nil {
			t.Fatal(err)
		}
		a.Close()
		if got, err := io.ReadAll(b); string(got) != "bye" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		if _, err := b.Write([]byte("?")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("writing to one that is closed: %v", err)
		}
		if _, err := a.Write([]byte("?")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("writing to one's own that is closed: %v", err)
		}
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("reading from one's own that is closed: %v", err)
		}

		a, b = l.Pipe()
		go func() { time.Sleep(time.Second); b.Close() }()
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed under a reader: %v", err)
		}
		a.Close()
	})
}

// A real connection behind the link: half closes pass, and the wrapper's end is
// the connection's.
func TestWrap(t *testing.T) {
	defer goleak.VerifyNone(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	over := make(chan error, 2)
	go func() {
		for range 2 {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, err = io.Copy(c, c)
			_ = c.(*net.TCPConn).CloseWrite()
			c.Close()
			over <- err
		}
	}()
	l := linkmodel.New(linkmodel.Symmetric(100*linkmodel.Mbit, 40*time.Millisecond))
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return l.Wrap(c)
	}

	c := dial()
	if c.RemoteAddr().String() != ln.Addr().String() {
		t.Errorf("it says it is with %v", c.RemoteAddr())
	}
	start, b := time.Now(), noise(500_000)
	go func() {
		_, _ = c.Write(b)
		_ = c.(interface{ CloseWrite() error }).CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if !bytes.Equal(got, b) || err != nil {
		t.Errorf("the echo has %d bytes: %v", len(got), err)
	}
	if took := time.Since(start); took < 80*time.Millisecond {
		t.Errorf("0.5 MB and 40 ms took %v", took)
	}
	if l.Up().Bytes != int64(len(b)) || l.Down().Bytes != int64(len(b)) {
		t.Errorf("counted %+v up and %+v down", l.Up(), l.Down())
	}
	c.Close()
	<-over

	c = dial()
	c.Close()
	if err := <-over; err != nil {
		t.Errorf("the connection behind a closed wrapper: %v", err)
	}
}

package tunnel_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"reflect"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

func TestStreamCarriesHeaderAndBytesBothWays(t *testing.T) {
	got := make(chan tunnel.Header, 1)
	w := start(t, setup{onStream: func(ctx context.Context, h tunnel.Header, c net.Conn) {
		got <- h
		echo(ctx, h, c)
	}})
	want := tunnel.Header{Service: "portal", Visit: id.NewVisit(), Who: "Ann <ann@example.com>", Method: "account"}
	s, err := w.relay.Open(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	if _, err := io.ReadFull(s, b); err != nil || string(b) != "hello" {
		t.Fatalf("read %q, %v", b, err)
	}
	if diff := cmp.Diff(want, within(t, 20*time.Second, got)); diff != "" {
		t.Errorf("header: %s", diff)
	}
}

func TestAgentTellsStatusAndPass(t *testing.T) {
	statuses, passes := make(chan tunnel.Status, 1), make(chan string, 1)
	refused := make(chan *fault.Error, 1)
	w := start(t, setup{
		handlers: tunnel.Handlers{
			OnStatus: func(s tunnel.Status) { statuses <- s },
			OnPass:   func(p string) error { passes <- p; return fault.New(fault.PassExpired, "Too old.") },
		},
		onRefused: func(f *fault.Error) { refused <- f },
	})
	want := tunnel.Status{Standby: &tunnel.Standby{Type: "primary", Role: "active", Peer: "3631A20C0043", Claim: 7}, Logins: tunnel.Logins{Passwordless: true, AutoLogout: 15}, Portal: tunnel.Portal{Origin: "https://192.168.1.2:8088", Aliases: []string{"http://pbx"}}}
	if err := w.agent.SendStatus(want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, within(t, 20*time.Second, statuses)); diff != "" {
		t.Errorf("status: %s", diff)
	}
	if err := w.agent.SendPass("a newer pass"); err != nil {
		t.Fatal(err)
	}
	if p := within(t, 20*time.Second, passes); p != "a newer pass" {
		t.Errorf("pass %q", p)
	}
	// The agent learns that its pass was not taken, and the tunnel lives on.
	wantCode(t, within(t, 20*time.Second, refused), fault.PassExpired)
	w.open(t).Close()
}

func TestDrainReachesTheAgent(t *testing.T) {
	drains := make(chan tunnel.Drain, 1)
	w := start(t, setup{onDrain: func(d tunnel.Drain) { drains <- d }})
	want := tunnel.Drain{Deadline: 5 * time.Minute, Within: 3 * time.Second, Relays: []string{"relay-2.example.com:8443", "[::1]:443"}}
	if err := w.relay.Drain(want); err != nil {
		t.Fatal(err)
	}
	if d := within(t, 20*time.Second, drains); !reflect.DeepEqual(d, want) {
		t.Errorf("got %+v", d)
	}
}

func TestHomeReachesTheAgent(t *testing.T) {
	homes := make(chan tunnel.Home, 1)
	w := start(t, setup{onHome: func(h tunnel.Home) { homes <- h }})
	want := tunnel.Home{Deadline: 5 * time.Minute, Relays: []string{"relay-2.example.com:8443", "[::1]:443"}}
	if err := w.relay.Home(want); err != nil {
		t.Fatal(err)
	}
	if h := within(t, 20*time.Second, homes); !reflect.DeepEqual(h, want) {
		t.Errorf("got %+v", h)
	}
}

func TestRefusedStreamSurfacesAsFault(t *testing.T) {
	refusal := fault.New(fault.PortalRefused, "Connection refused by 127.0.0.1:8088.").After(3 * time.Second)
	w := start(t, setup{onStream: func(_ context.Context, _ tunnel.Header, c net.Conn) { _ = tunnel.RefuseStream(c, refusal) }})
	s := w.open(t)
	defer s.Close()
	for range 2 { // and it stays
		_, err := s.Read(make([]byte, 10))
		var f *fault.Error
		if !errors.As(err, &f) || f.Code != refusal.Code || f.Message != refusal.Message || f.Retry != refusal.Retry {
			t.Fatalf("got %v, want %v", err, refusal)
		}
	}
}

func TestAgentCannotChooseThePageAPersonSees(t *testing.T) {
	w := start(t, setup{onStream: func(_ context.Context, _ tunnel.Header, c net.Conn) {
		_ = tunnel.RefuseStream(c, fault.New(fault.VisitNeeded, "Sign in at evil.example."))
	}})
	s := w.open(t)
	defer s.Close()
	_, err := s.Read(make([]byte, 10))
	wantCode(t, err, fault.PortalRefused)
}

func TestReplyIsReadAcrossDeadlines(t *testing.T) {
	step := make(chan struct{})
	w := start(t, setup{onStream: func(_ context.Context, _ tunnel.Header, c net.Conn) {
		for _, b := range []byte("\x01\x00\x19" + `{"code":"portal_timeout"}`) {
			<-step
			_, _ = c.Write([]byte{b})
		}
		c.Close()
	}})
	s := w.open(t)
	defer s.Close()
	for range 28 {
		_ = s.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := s.Read(make([]byte, 1)); err == nil || fault.CodeOf(err) == fault.PortalTimeout {
			t.Fatalf("an answer too early: %v", err)
		}
		step <- struct{}{}
	}
	_ = s.SetReadDeadline(time.Time{})
	_, err := s.Read(make([]byte, 1))
	wantCode(t, err, fault.PortalTimeout)
}

func TestBigTransferBothWays(t *testing.T) {
	const size = 24 << 20
	sums := make(chan [32]byte, 1)
	w := start(t, setup{onStream: func(_ context.Context, _ tunnel.Header, c net.Conn) {
		defer c.Close()
		_ = tunnel.AcceptStream(c)
		var wg sync.WaitGroup
		wg.Go(func() {
			h := sha256.New()
			_, _ = io.CopyN(h, c, size)
			sums <- [32]byte(h.Sum(nil))
		})
		_, _ = io.CopyN(c, noise(2), size)
		wg.Wait()
	}})
	s := w.open(t)
	defer s.Close()
	var wg sync.WaitGroup
	up := sha256.New()
	wg.Go(func() {
		if _, err := io.CopyN(s, io.TeeReader(noise(1), up), size); err != nil {
			t.Error(err)
		}
	})
	down := sha256.New()
	n, err := io.Copy(down, s)
	wg.Wait()
	if err != nil || n != size {
		t.Fatalf("down: %d bytes, %v", n, err)
	}
	if got := within(t, 20*time.Second, sums); !bytes.Equal(got[:], up.Sum(nil)) {
		t.Error("what went up is not what came")
	}
	want := sha256.New()
	_, _ = io.CopyN(want, noise(2), size)
	if !bytes.Equal(down.Sum(nil), want.Sum(nil)) {
		t.Error("what came down is not what was sent")
	}
}

// noise is the same random bytes for the same seed.
func noise(seed byte) io.Reader {
	return rand.NewChaCha8([32]byte{seed})
}

func TestManyStreamsAtOnce(t *testing.T) {
	w := start(t, setup{})
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			s, err := w.relay.Open(context.Background(), tunnel.Header{Service: "portal"})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			want := bytes.Repeat([]byte{byte(i)}, 10_000+i)
			go func() { _, _ = s.Write(want) }()
			got := make([]byte, len(want))
			if _, err := io.ReadFull(s, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("stream %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if n := w.relay.Streams(); n != 0 {
		t.Errorf("%d streams counted after all were closed", n)
	}
}

func TestSlowReaderHoldsUpNobody(t *testing.T) {
	w := start(t, setup{onStream: func(ctx context.Context, h tunnel.Header, c net.Conn) {
		if h.Method != "endless" {
			echo(ctx, h, c)
			return
		}
		defer c.Close()
		_ = tunnel.AcceptStream(c)
		_, _ = io.Copy(c, noise(3))
	}})
	for range 8 { // nobody reads what these send
		s, err := w.relay.Open(t.Context(), tunnel.Header{Service: "portal", Method: "endless"})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		s := w.open(t)
		_ = s.SetDeadline(time.Now().Add(30 * time.Second))
		_, _ = s.Write([]byte("x"))
		if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
}

func TestMaxStreamsRefuses(t *testing.T) {
	w := start(t, setup{agent: tunnel.Config{MaxStreams: 2}})
	var open []*tunnel.Stream
	for range 2 {
		s := w.open(t)
		defer s.Close()
		_, _ = s.Write([]byte("x"))
		if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		open = append(open, s)
	}
	s := w.open(t)
	_, err := s.Read(make([]byte, 1))
	wantCode(t, err, fault.TooMany)
	s.Close()

	// A place that becomes free is taken again.
	open[0].Close()
	deadline := time.Now().Add(30 * time.Second)
	for {
		s := w.open(t)
		_, _ = s.Write([]byte("x"))
		_, err := io.ReadFull(s, make([]byte, 1))
		s.Close()
		if err == nil {
			return
		}
		wantCode(t, err, fault.TooMany)
		if time.Now().After(deadline) {
			t.Fatal("the place never became free")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestOpenHonoursItsContext(t *testing.T) {
	w := start(t, setup{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, err := w.relay.Open(ctx, tunnel.Header{Service: "portal"})
	if err == nil {
		s.Close() // it was faster
	} else if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// Streams are kept for the next request; what a large response made them
// buffer must not be kept with them.
func TestIdleStreamsGiveTheirBuffersBack(t *testing.T) {
	const streams, size = 16, 2 << 20
	w := start(t, setup{onStream: func(_ context.Context, _ tunnel.Header, c net.Conn) {
		defer c.Close()
		_ = tunnel.AcceptStream(c)
		_, _ = io.CopyN(c, noise(1), size)
		_, _ = io.Copy(io.Discard, c)
	}})
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for range streams {
		s := w.open(t)
		defer s.Close()
		_, _ = io.ReadFull(s, make([]byte, 1))
		time.Sleep(20 * time.Millisecond) // for a backlog
		if _, err := io.CopyN(io.Discard, s, size-1); err != nil {
			t.Fatal(err)
		}
		if !s.Alive() {
			t.Fatal("not alive")
		}
	}
	deadline := time.Now().Add(30 * time.Second)
	for after := heap(); after > before+4<<20; after = heap() {
		if time.Now().After(deadline) {
			t.Fatalf("%d idle streams hold %d KiB", streams, (after-before)>>10)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

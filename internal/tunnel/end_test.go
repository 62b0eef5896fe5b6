package tunnel_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/tunnel"
)

func TestKillTellsTheAgentWhy(t *testing.T) {
	w := start(t, setup{})
	s := w.open(t)
	defer s.Close()
	cause := fault.New(fault.Replaced, "The device opened a newer tunnel.").After(time.Minute)
	began := time.Now()
	w.relay.Kill(cause)
	w.relay.Kill(fault.New(fault.Draining, "the first cause stands"))
	if err := within(t, 20*time.Second, w.relayRun); !errors.Is(err, cause) {
		t.Errorf("relay: %v", err)
	}
	var got *fault.Error
	if err := within(t, 20*time.Second, w.agentRun); !errors.As(err, &got) || got.Code != fault.Replaced || got.Retry != time.Minute {
		t.Errorf("agent: %v", err)
	}
	if d := time.Since(began); d > 10*time.Second { // the silence limit would have been 45 s
		t.Errorf("a willing agent took %v to be gone", d)
	}
	_, err := s.Read(make([]byte, 1))
	wantCode(t, err, fault.ConnectionLost)
	_, err = s.Write(make([]byte, 1))
	wantCode(t, err, fault.ConnectionLost)
	_, err = w.relay.Open(t.Context(), tunnel.Header{Service: "portal"})
	wantCode(t, err, fault.ConnectionLost)
	if s.Alive() {
		t.Error("a stream outlived its tunnel")
	}
}

// stall is a connection that from a moment on takes nothing and gives nothing:
// a peer behind a cable that was cut.
type stall struct {
	net.Conn
	cut    chan struct{}
	closed chan struct{}
	once   sync.Once
}

func newStall(c net.Conn) *stall {
	return &stall{Conn: c, cut: make(chan struct{}), closed: make(chan struct{})}
}

func (s *stall) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	select {
	case <-s.cut:
		<-s.closed
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

func (s *stall) Write(b []byte) (int, error) {
	select {
	case <-s.cut: // the kernel takes it, and nobody else ever does
		return len(b), nil
	default:
		return s.Conn.Write(b)
	}
}

func (s *stall) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.Conn.Close()
}

// Real time, as short as a loaded machine allows: yamux keeps its timers in a
// pool for the whole process, which synctest's bubbles forbid.
const (
	shortPing    = 20 * time.Millisecond
	shortSilence = 500 * time.Millisecond
)

func TestBlackholedPeersAreFoundByBothSides(t *testing.T) {
	t.Parallel()
	var server, client *stall
	short := tunnel.Config{Ping: shortPing, Silence: shortSilence}
	w := start(t, setup{relay: short, agent: short, conns: func(t testing.TB) (net.Conn, net.Conn) {
		a, b := tcpPair(t)
		server, client = newStall(a), newStall(b)
		return server, client
	}})
	s := w.open(t)
	defer s.Close()
	time.Sleep(2 * shortSilence)
	if !s.Alive() {
		t.Fatal("pings did not keep an idle tunnel")
	}
	close(server.cut)
	close(client.cut)
	began := time.Now()
	_, err := s.Read(make([]byte, 1)) // the reply, which came before, or the end
	if err == nil {
		_, err = s.Read(make([]byte, 1))
	}
	wantCode(t, err, fault.ConnectionLost)
	wantCode(t, within(t, 20*time.Second, w.relayRun), fault.PeerSilent)
	wantCode(t, within(t, 20*time.Second, w.agentRun), fault.PeerSilent)
	// A second goes into trying to say goodbye.
	if d := time.Since(began); d < shortSilence/2 || d > shortSilence+20*time.Second {
		t.Errorf("found after %v", d)
	}
}

// gate holds back what is read while it is locked.
type gate struct {
	net.Conn
	sync.Mutex
}

func (g *gate) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	g.Lock()
	defer g.Unlock()
	return n, err
}

// Long before a silent relay is given up the agent is told, again and again, and
// can tell when it is heard once more.
func TestSilentRelayIsDoubted(t *testing.T) {
	t.Parallel()
	const silence = 27 * time.Second // so the first doubts come after 6 and 12
	var client *gate
	doubts, told := make(chan struct{}, 100), make(chan int, 100)
	w := start(t, setup{
		relay: tunnel.Config{Ping: shortPing}, agent: tunnel.Config{Ping: shortPing, Silence: silence},
		onDoubt: func(times int) { told <- times; doubts <- struct{}{} },
		conns: func(t testing.TB) (net.Conn, net.Conn) {
			a, b := tcpPair(t)
			client = &gate{Conn: b}
			return a, client
		},
	})
	if w.agent.Doubtful() {
		t.Error("a new tunnel is doubted")
	}
	client.Lock()
	began := time.Now()
	within(t, 30*time.Second, doubts)
	if d := time.Since(began); d < silence*2/9 {
		t.Errorf("doubted after %v", d)
	}
	if !w.agent.Doubtful() {
		t.Error("the tunnel is doubted, and says it is not")
	}
	within(t, 30*time.Second, doubts)
	if one, two := <-told, <-told; one != 1 || two != 2 {
		t.Errorf("doubts number %d and %d, want 1 and 2", one, two)
	}
	client.Unlock()
	for began := time.Now(); w.agent.Doubtful(); time.Sleep(shortPing) {
		if time.Since(began) > 30*time.Second {
			t.Fatal("the relay is heard again, and doubted still")
		}
	}
}

// A slow uplink delays a pong behind data: the data is life enough.
func TestTrafficCountsAsLife(t *testing.T) {
	t.Parallel()
	rare := tunnel.Config{Ping: 10 * time.Minute, Silence: shortSilence}
	w := start(t, setup{relay: rare})
	s := w.open(t)
	defer s.Close()
	for began := time.Now(); time.Since(began) < 3*shortSilence; time.Sleep(shortPing) {
		_, _ = s.Write([]byte{1})
		if _, err := s.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	wantCode(t, within(t, 20*time.Second, w.relayRun), fault.PeerSilent)
}

// A socket that takes no more bytes holds up neither Kill nor Run, nor the
// Close of a stream.
func TestKillWithAStuckSocket(t *testing.T) {
	t.Parallel()
	var client *stall
	w := start(t, setup{conns: func(t testing.TB) (net.Conn, net.Conn) {
		a, b := tcpPair(t)
		client = newStall(b)
		return a, client
	}})
	close(client.cut) // the agent reads no more: the relay's socket fills up
	var streams []*tunnel.Stream
	written := make(chan struct{}, 100)
	for range 40 {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		s, err := w.relay.Open(ctx, tunnel.Header{Service: "portal"})
		cancel()
		if err != nil {
			break
		}
		streams = append(streams, s)
		go func() {
			_, err := io.Copy(s, noise(1))
			if err == nil {
				t.Error("endless noise ended")
			}
			written <- struct{}{}
		}()
	}
	time.Sleep(200 * time.Millisecond) // for the socket to fill; a lesser fill makes only a weaker test
	began := time.Now()
	streams[0].Close()
	w.relay.Kill(fault.New(fault.Replaced, "newer"))
	if d := time.Since(began); d > 10*time.Second { // a write to the socket would wait for 30 s
		t.Errorf("Close and Kill took %v", d)
	}
	wantCode(t, within(t, 20*time.Second, w.relayRun), fault.Replaced)
	for range streams {
		within(t, 20*time.Second, written)
	}
	for _, s := range streams {
		s.Close()
	}
	client.Close()
}

func TestCutConnectionIsLostOnBothSides(t *testing.T) {
	var server net.Conn
	w := start(t, setup{conns: func(t testing.TB) (net.Conn, net.Conn) {
		a, b := tcpPair(t)
		server = a
		return a, b
	}})
	server.Close()
	wantCode(t, within(t, 20*time.Second, w.relayRun), fault.ConnectionLost)
	wantCode(t, within(t, 20*time.Second, w.agentRun), fault.ConnectionLost)
}

// A response whose tunnel broke must not look complete.
func TestLostConnectionIsNoEndOfFile(t *testing.T) {
	var server net.Conn
	w := start(t, setup{
		conns: func(t testing.TB) (net.Conn, net.Conn) {
			a, b := tcpPair(t)
			server = a
			return a, b
		},
		onStream: func(ctx context.Context, _ tunnel.Header, c net.Conn) {
			_ = tunnel.AcceptStream(c)
			_, _ = c.Write([]byte("half"))
			<-ctx.Done()
		},
	})
	s := w.open(t)
	defer s.Close()
	if _, err := io.ReadFull(s, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	server.Close()
	_, err := s.Read(make([]byte, 1))
	wantCode(t, err, fault.ConnectionLost)
}

func TestStopLetsStreamsFinish(t *testing.T) {
	finish, taken := make(chan struct{}), make(chan struct{})
	take := sync.OnceFunc(func() { close(taken) })
	goodbyes := make(chan struct{}, 2)
	w := start(t, setup{handlers: tunnel.Handlers{OnGoodbye: func() { goodbyes <- struct{}{} }}, onStream: func(_ context.Context, _ tunnel.Header, c net.Conn) {
		defer c.Close()
		_ = tunnel.AcceptStream(c)
		take()
		<-finish
		_, _ = c.Write([]byte("the end"))
	}})
	s := w.open(t)
	defer s.Close()
	type reading struct {
		b   []byte
		err error
	}
	read := make(chan reading, 1)
	go func() { b, err := io.ReadAll(s); read <- reading{b, err} }()
	within(t, 20*time.Second, taken)

	stopped := make(chan error, 1)
	go func() { stopped <- w.agent.Stop(context.Background()) }()
	// New streams are refused from the goodbye on.
	for {
		s2, err := w.relay.Open(t.Context(), tunnel.Header{Service: "portal"})
		if err == nil {
			_ = s2.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			_, err = s2.Read(make([]byte, 1))
			s2.Close()
		}
		if fault.CodeOf(err) == fault.AgentStopped {
			break
		}
		time.Sleep(time.Millisecond)
	}
	within(t, 20*time.Second, goodbyes)
	select {
	case err := <-stopped:
		t.Fatalf("Stop did not wait for the stream: %v", err)
	default:
	}
	close(finish)
	if r := within(t, 20*time.Second, read); r.err != nil || string(r.b) != "the end" {
		t.Errorf("read %q, %v", r.b, r.err)
	}
	if err := within(t, 20*time.Second, stopped); err != nil {
		t.Error(err)
	}
	if err := within(t, 20*time.Second, w.agentRun); err != nil {
		t.Errorf("agent: %v", err)
	}
	wantCode(t, within(t, 20*time.Second, w.relayRun), fault.AgentStopped)
	if len(goodbyes) != 0 {
		t.Error("the goodbye was told twice")
	}
}

func TestStopCutsWhatDoesNotFinish(t *testing.T) {
	w := start(t, setup{})
	s := w.open(t)
	defer s.Close()
	_, _ = s.Write([]byte("x"))
	_, _ = io.ReadFull(s, make([]byte, 1))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := w.agent.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if err := within(t, 20*time.Second, w.agentRun); err != nil {
		t.Errorf("agent: %v", err)
	}
	wantCode(t, within(t, 20*time.Second, w.relayRun), fault.AgentStopped)
}

// The relay believes an agent that remote access is off, and no other reason
// that is not the agent's to give.
func TestLeaveSaysWhy(t *testing.T) {
	for said, want := range map[fault.Code]fault.Code{
		fault.RemoteOff: fault.RemoteOff, fault.DeviceRemoved: fault.ConnectionLost,
	} {
		w := start(t, setup{})
		if err := w.agent.Leave(t.Context(), fault.New(said, "as the test says")); err != nil {
			t.Errorf("%s: %v", said, err)
		}
		if err := within(t, 20*time.Second, w.agentRun); err != nil {
			t.Errorf("%s: agent: %v", said, err)
		}
		wantCode(t, within(t, 20*time.Second, w.relayRun), want)
	}
}

func TestAliveSeesWhatTheAgentDid(t *testing.T) {
	step := make(chan struct{})
	w := start(t, setup{onStream: func(_ context.Context, h tunnel.Header, c net.Conn) {
		defer c.Close()
		_ = tunnel.AcceptStream(c)
		_, _ = c.Write([]byte("response"))
		<-step
		if h.Method == "unsolicited" {
			_, _ = c.Write([]byte("408 Request Timeout"))
			<-step
		}
	}})
	for _, method := range []string{"close", "unsolicited"} {
		s, err := w.relay.Open(t.Context(), tunnel.Header{Service: "portal", Method: method})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadFull(s, make([]byte, 8))
		if !s.Alive() {
			t.Errorf("%s: an idle stream is not alive", method)
		}
		step <- struct{}{}
		for deadline := time.Now().Add(30 * time.Second); s.Alive(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: still alive", method)
			}
		}
		if method == "unsolicited" {
			step <- struct{}{}
		}
		s.Close()
		if s.Alive() {
			t.Error("alive after Close")
		}
	}
}

// A write that waits for a window ends when the far side closes, even if
// nobody reads; what came before the close stays readable.
func TestCloseEndsBothDirections(t *testing.T) {
	agentWrite, agentRead := make(chan error, 1), make(chan error, 1)
	w := start(t, setup{onStream: func(_ context.Context, h tunnel.Header, c net.Conn) {
		defer c.Close()
		_ = tunnel.AcceptStream(c)
		if h.Method == "early answer" {
			_, _ = c.Write([]byte("413"))
			return
		}
		_, err := io.Copy(c, noise(1))
		agentWrite <- err
		_, err = io.Copy(io.Discard, c)
		agentRead <- err
	}})
	// The relay closes an unread download.
	s := w.open(t)
	_, _ = io.ReadFull(s, make([]byte, 10))
	time.Sleep(20 * time.Millisecond) // for the window to fill
	s.Reset()
	if err := within(t, 20*time.Second, agentWrite); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("the agent's write: %v", err)
	}
	if err := within(t, 20*time.Second, agentRead); err != nil {
		t.Errorf("the agent's read: %v", err)
	}
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after Reset: %v", err)
	}
	// The agent answers and closes while the relay still uploads.
	s, err := w.relay.Open(t.Context(), tunnel.Header{Service: "portal", Method: "early answer"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(s, noise(1)); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("the relay's write: %v", err)
	}
	if b, err := io.ReadAll(s); err != nil || string(b) != "413" {
		t.Errorf("read %q, %v", b, err)
	}
	s.Close()
}

// Close wakes our own reader, whatever the far side does.
func TestCloseWakesTheReader(t *testing.T) {
	w := start(t, setup{onStream: func(ctx context.Context, _ tunnel.Header, _ net.Conn) { <-ctx.Done() }})
	s := w.open(t)
	got := make(chan error, 1)
	go func() { _, err := s.Read(make([]byte, 1)); got <- err }()
	time.Sleep(10 * time.Millisecond)
	s.Close()
	if err := within(t, 20*time.Second, got); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestThousandAbortedDownloadsLeaveNothing(t *testing.T) {
	var running atomic.Int64
	w := start(t, setup{relay: tunnel.Config{Window: 256 << 10}, onStream: func(_ context.Context, _ tunnel.Header, c net.Conn) {
		// What an agent does: copy both ways until one of them ends.
		running.Add(1)
		defer running.Add(-1)
		defer c.Close()
		_ = tunnel.AcceptStream(c)
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = io.Copy(io.Discard, c) })
		_, _ = io.Copy(c, zeros{})
		wg.Wait()
	}})
	w.open(t).Close()
	time.Sleep(20 * time.Millisecond)
	before := runtime.NumGoroutine()
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for i := range 100 {
				s, err := w.relay.Open(context.Background(), tunnel.Header{Service: "portal"})
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.CopyN(io.Discard, s, int64(1+i*300))
				if i%2 == 0 {
					s.Reset()
				} else {
					s.Close()
				}
			}
		})
	}
	wg.Wait()
	// Sooner than unanswered closes would be given up.
	for deadline := time.Now().Add(3 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		after := runtime.NumGoroutine()
		onRelay, onAgent := tunnel.Tracked(w.relay, w.agent)
		if after <= before && running.Load() == 0 && onRelay == 0 && onAgent == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines before, %d after; %d handlers run; followed still: %d streams by the relay, %d by the agent",
				before, after, running.Load(), onRelay, onAgent)
		}
	}
	if s := w.open(t); s.Close() != nil {
		t.Error("the tunnel is of no more use")
	}
}

// A ping may be answered before its sender has noted that it went: that is an
// answer. In the bubble all answers come at the very moment of the question.
func TestARelayThatAnswersAtOnceIsNotDoubted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		doubts := 0
		w := start(t, setup{
			onDoubt: func(int) { doubts++ },
			conns:   func(testing.TB) (net.Conn, net.Conn) { return net.Pipe() },
		})
		time.Sleep(time.Hour)
		synctest.Wait()
		if doubts > 0 || w.agent.Doubtful() {
			t.Errorf("doubted %d times in an hour", doubts)
		}
	})
}

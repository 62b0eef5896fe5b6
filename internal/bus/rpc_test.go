package bus_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
)

type question struct{ Name string }
type answer struct{ Text string }

func handle(t *testing.T, b *bus.Bus, subject string, fn func(context.Context, question) (answer, error)) {
	t.Helper()
	stop, err := bus.Handle(b, subject, fn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
}

func ask(ctx context.Context, b *bus.Bus, subject, name string) (string, error) {
	a, err := bus.Call[question, answer](ctx, b, subject, question{Name: name})
	return a.Text, err
}

// A relay asks control over a real connection.
func TestCallIsAnswered(t *testing.T) {
	l := login(t, "r1")
	srv := control(t, bus.Config{Listen: "127.0.0.1:0", Logins: []bus.Login{l}})
	relay := dial(t, srv.Addr(), l)
	handle(t, srv, "greet", func(_ context.Context, q question) (answer, error) {
		return answer{Text: "hello " + q.Name}, nil
	})
	if got, err := ask(t.Context(), relay, "greet", "relay"); got != "hello relay" || err != nil {
		t.Errorf("answer %q, %v", got, err)
	}
}

func TestFaultCrossesWhole(t *testing.T) {
	b := open(t, bus.Config{})
	sent := fault.New(fault.TooMany, "Too many. Wait.").In("name").After(1500 * time.Millisecond)
	handle(t, b, "refuse", func(context.Context, question) (answer, error) {
		return answer{}, errors.Join(errors.New("outer"), sent)
	})
	_, err := ask(t.Context(), b, "refuse", "x")
	var got *fault.Error
	if !errors.As(err, &got) || *got != *sent {
		t.Errorf("got %+v, want %+v", err, sent)
	}
}

// What is no fault stays inside, but for a reference that the log has.
func TestOtherErrorsAndPanicsAreInternal(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	b, err := bus.Open(t.Context(), bus.Config{}, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	stop, err := bus.Handle(b, "break", func(_ context.Context, q question) (answer, error) {
		if q.Name == "panic" {
			panic("bad day")
		}
		return answer{}, errors.New("disk of node 7 is full")
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for _, name := range []string{"error", "panic", "error"} {
		_, err := ask(t.Context(), b, "break", name)
		wantCode(t, err, fault.Internal)
		if strings.Contains(err.Error(), "disk") || strings.Contains(err.Error(), "bad day") {
			t.Errorf("the inside is told: %v", err)
		}
		last := logs.FilterMessage("call failed").All()
		ref, _ := last[len(last)-1].ContextMap()["ref"].(string)
		if ref == "" || !strings.Contains(err.Error(), ref) {
			t.Errorf("the log's reference %q is not in %v", ref, err)
		}
	}
	if logs.FilterMessage("handler panicked").Len() != 1 {
		t.Error("the panic is not in the log")
	}
}

func TestCallWithNobodyThere(t *testing.T) {
	b := open(t, bus.Config{})
	_, err := ask(t.Context(), b, "nobody", "x")
	wantCode(t, err, fault.Unavailable)
}

// The caller's deadline reaches the handler.
func TestCallEndsWithItsDeadline(t *testing.T) {
	b := open(t, bus.Config{})
	ended := make(chan error, 1)
	handle(t, b, "slow", func(ctx context.Context, _ question) (answer, error) {
		<-ctx.Done()
		ended <- ctx.Err()
		return answer{}, ctx.Err()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := ask(ctx, b, "slow", "x")
	if err == nil {
		t.Fatal("an answer after the deadline")
	}
	if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("handler ended by %v", err)
	}
}

func TestBadRequestIsRefused(t *testing.T) {
	b := open(t, bus.Config{})
	handle(t, b, "greet", func(context.Context, question) (answer, error) { return answer{}, nil })
	_, err := bus.Call[[]int, answer](t.Context(), b, "greet", []int{1})
	wantCode(t, err, fault.Invalid)
	_, err = ask(t.Context(), b, "greet", strings.Repeat("x", 70<<10))
	wantCode(t, err, fault.TooLarge)
}

func TestAnswerThatIsTooLarge(t *testing.T) {
	b := open(t, bus.Config{})
	handle(t, b, "greet", func(context.Context, question) (answer, error) {
		return answer{Text: strings.Repeat("x", 70<<10)}, nil
	})
	_, err := ask(t.Context(), b, "greet", "x")
	wantCode(t, err, fault.Internal)
}

func TestHandlersAreBoundedAndStopWaits(t *testing.T) {
	b := open(t, bus.Config{})
	var now, most atomic.Int32
	release := make(chan struct{})
	stop, err := bus.Handle(b, "busy", func(context.Context, question) (answer, error) {
		n := now.Add(1)
		defer now.Add(-1)
		for {
			old := most.Load()
			if n <= old || most.CompareAndSwap(old, n) {
				break
			}
		}
		<-release
		return answer{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var answered atomic.Int32
	var wg sync.WaitGroup
	for range 2 * bus.MaxRunningForTest {
		wg.Go(func() {
			if _, err := ask(t.Context(), b, "busy", "x"); err == nil {
				answered.Add(1)
			}
		})
	}
	eventually(t, "all slots taken", func() bool { return now.Load() == bus.MaxRunningForTest })
	close(release)
	wg.Wait()
	stop()
	if most.Load() > bus.MaxRunningForTest || answered.Load() != 2*bus.MaxRunningForTest || now.Load() != 0 {
		t.Errorf("most at once %d, answered %d, left %d", most.Load(), answered.Load(), now.Load())
	}
	_, err = ask(t.Context(), b, "busy", "x")
	wantCode(t, err, fault.Unavailable)
}

package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

const (
	rpcQueue   = "trunkline"
	maxRunning = 64   // handlers of one subject in one process
	maxWaiting = 1024 // requests; what comes beyond is dropped and times out at its caller
	// callTimeout is for callers without a deadline.
	callTimeout = 10 * time.Second
	// maxHandling bounds a handler, whatever its caller says.
	maxHandling = 30 * time.Second
	// lastChance is how long stop lets handlers finish before it cancels them.
	lastChance = 5 * time.Second
	// headerTimeout carries how long the caller waits, in milliseconds:
	// relative, since clocks differ.
	headerTimeout = "Trunkline-Timeout"
)

// reply is an answer or a fault.
type reply struct {
	Answer json.RawMessage `json:"answer,omitempty"`
	Fault  *wireFault      `json:"fault,omitempty"`
}

type wireFault struct {
	Code    fault.Code `json:"code"`
	Message string     `json:"message"`
	Field   string     `json:"field,omitempty"`
	RetryMS int64      `json:"retry_ms,omitempty"`
}

func (f wireFault) fault() *fault.Error {
	return &fault.Error{Code: f.Code, Message: f.Message, Field: f.Field, Retry: time.Duration(f.RetryMS) * time.Millisecond}
}

// Call asks whoever handles subject. The error is the handler's fault, or a
// fault unavailable if no answer came; then the handler may yet have run.
func Call[Q, A any](ctx context.Context, b *Bus, subject string, q Q) (A, error) {
	return call[Q, A](ctx, b, rpcPrefix+subject, subject, q)
}

// CallAs is Call in a relay's own name: no other relay is let ask in it.
func CallAs[Q, A any](ctx context.Context, b *Bus, r id.Relay, subject string, q Q) (A, error) {
	return call[Q, A](ctx, b, asPrefix+string(r)+"."+subject, subject, q)
}

func call[Q, A any](ctx context.Context, b *Bus, to, subject string, q Q) (A, error) {
	began := time.Now()
	a, err := ask[Q, A](ctx, b, to, subject, q)
	b.metrics.called(subject, began, err)
	return a, err
}

func ask[Q, A any](ctx context.Context, b *Bus, to, subject string, q Q) (A, error) {
	var none, a A
	op := "call " + subject
	if !b.Connected() {
		return none, b.fail(op, errAway)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	m := nats.NewMsg(to)
	var err error
	if m.Data, err = json.Marshal(q); err != nil {
		return none, fmt.Errorf("%s: encode: %w", op, err)
	}
	if end, ok := ctx.Deadline(); ok {
		m.Header.Set(headerTimeout, strconv.FormatInt(time.Until(end).Milliseconds(), 10))
	}
	got, err := b.nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		return none, b.fail(op, err)
	}
	var r reply
	if err := json.Unmarshal(got.Data, &r); err != nil {
		return none, fmt.Errorf("%s: decode: %w", op, err)
	}
	if r.Fault != nil {
		return none, fmt.Errorf("%s: %w", op, r.Fault.fault())
	}
	if err := json.Unmarshal(r.Answer, &a); err != nil {
		return none, fmt.Errorf("%s: decode: %w", op, err)
	}
	return a, nil
}

// Handle answers the calls of subject; of all processes that handle it, one
// gets each. A fault.Error that fn returns reaches the caller as it is, any
// other error as internal with a reference that is logged here. stop takes no
// more calls, waits for those that run, and cancels them after some seconds.
func Handle[Q, A any](b *Bus, subject string, fn func(context.Context, Q) (A, error)) (stop func(), err error) {
	return handle(b, rpcPrefix+subject, subject, func(ctx context.Context, _ string, q Q) (A, error) { return fn(ctx, q) })
}

// HandleAs is Handle for CallAs. fn is told which relay it is that asks: the
// server has let nobody else.
func HandleAs[Q, A any](b *Bus, subject string, fn func(context.Context, id.Relay, Q) (A, error)) (stop func(), err error) {
	return handle(b, asPrefix+"*."+subject, subject, func(ctx context.Context, asked string, q Q) (A, error) {
		label, _, _ := strings.Cut(strings.TrimPrefix(asked, asPrefix), ".")
		var r id.Relay
		if err := r.UnmarshalText([]byte(label)); err != nil {
			var none A
			return none, fault.New(fault.Invalid, "The call is in no relay's name.")
		}
		return fn(ctx, r, q)
	})
}

// handle also tells fn the subject that was asked.
func handle[Q, A any](b *Bus, on, subject string, fn func(ctx context.Context, asked string, q Q) (A, error)) (stop func(), err error) {
	sub, err := b.nc.QueueSubscribeSync(on, rpcQueue)
	if err != nil {
		return nil, b.fail("handle "+subject, err)
	}
	if err := sub.SetPendingLimits(maxWaiting, maxWaiting*maxPayload); err != nil {
		return nil, b.fail("handle "+subject, errors.Join(err, sub.Unsubscribe()))
	}
	if b.Connected() {
		// A call that is made after Handle returned finds the handler.
		if err := b.nc.FlushTimeout(requestTimeout); err != nil {
			return nil, b.fail("handle "+subject, errors.Join(err, sub.Unsubscribe()))
		}
	}
	h := &handler{b: b, subject: subject, sub: sub, answer: func(ctx context.Context, m *nats.Msg) ([]byte, error) {
		var q Q
		if err := json.Unmarshal(m.Data, &q); err != nil {
			return nil, fault.New(fault.Invalid, "The request does not decode.")
		}
		a, err := fn(ctx, m.Subject, q)
		if err != nil {
			return nil, err
		}
		return json.Marshal(a)
	}}
	return h.start(), nil
}

// handler serves one subject. It owns the goroutines of its calls.
type handler struct {
	b       *Bus
	subject string
	sub     *nats.Subscription
	answer  func(context.Context, *nats.Msg) ([]byte, error)
}

func (h *handler) start() (stop func()) {
	taking, stopTaking := context.WithCancel(context.Background())
	running, stopRunning := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { h.serve(taking, running, &wg) })
	return func() {
		stopTaking()
		t := time.AfterFunc(lastChance, stopRunning)
		wg.Wait()
		t.Stop()
		stopRunning()
	}
}

// serve returns when taking ends or the Bus is closed.
func (h *handler) serve(taking, running context.Context, wg *sync.WaitGroup) {
	defer func() { _ = h.sub.Unsubscribe() }() // fails on a connection that is gone, and with it the subscription
	slots := make(chan struct{}, maxRunning)
	for {
		select {
		case slots <- struct{}{}:
		case <-taking.Done():
			return
		}
		m, err := h.sub.NextMsgWithContext(taking)
		switch {
		case err == nil:
			wg.Go(func() {
				defer func() { <-slots }()
				h.handle(running, m)
			})
		case errors.Is(err, nats.ErrSlowConsumer):
			h.b.log.Warn("calls dropped: handlers are too slow", zap.String("subject", h.subject))
			<-slots
		case taking.Err() != nil, errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrBadSubscription):
			return
		default:
			h.b.log.Error("calls are no longer handled", zap.String("subject", h.subject), zap.Error(err))
			return
		}
	}
}

func (h *handler) handle(ctx context.Context, m *nats.Msg) {
	within := maxHandling
	if ms, err := strconv.ParseInt(m.Header.Get(headerTimeout), 10, 64); err == nil && ms >= 0 && ms < within.Milliseconds() {
		within = time.Duration(ms) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var r reply
	answer, err := h.guarded(ctx, m)
	if err != nil {
		r.Fault = h.fault(err)
	} else {
		r.Answer = answer
	}
	data, err := json.Marshal(r)
	if err == nil {
		err = m.Respond(data)
	}
	if errors.Is(err, nats.ErrMaxPayload) {
		if data, err = json.Marshal(reply{Fault: h.fault(err)}); err == nil {
			err = m.Respond(data)
		}
	}
	if err != nil {
		h.b.log.Warn("answer not sent", zap.String("subject", h.subject), zap.Error(err))
	}
}

// guarded keeps one bad call from ending the process and everybody's calls
// with it; the caller and the log hear of it.
func (h *handler) guarded(ctx context.Context, m *nats.Msg) (answer []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			h.b.log.Error("handler panicked", zap.String("subject", h.subject), zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return h.answer(ctx, m)
}

func (h *handler) fault(err error) *wireFault {
	var f *fault.Error
	if !errors.As(err, &f) {
		ref := id.Ref()
		h.b.log.Error("call failed", zap.String("subject", h.subject), zap.String("ref", ref), zap.Error(err))
		f = fault.New(fault.Internal, "Something went wrong on our side. Give the reference %s to the operator.", ref)
	}
	return &wireFault{Code: f.Code, Message: f.Message, Field: f.Field, RetryMS: f.Retry.Milliseconds()}
}

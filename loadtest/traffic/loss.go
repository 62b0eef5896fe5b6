package traffic

import (
	"cmp"
	"context"
	"net/http/httptrace"
	"sync"
	"time"
)

// Loss is one operation that was due and had no right answer.
type Loss struct {
	Kind string
	Due  time.Time
	// Begun is Due; of a message that there was no socket for, when that was asked
	// for, and what comes in the time until the page asks again is lost with it.
	Begun time.Time
	Seen  time.Time // when it was known
	Open  time.Time // of a message on a WebSocket, when that came about
	// Content is the Site's.
	Content uint32
	// Entry is where the visitor's connection led, host:port, also if no TLS came about
	// on it; "" if there was none.
	Entry string
	Code  string
	// Answer is what came instead: the words of a refusal, or the error of a
	// connection; "" if nothing did.
	Answer string
}

// failure is why an operation had no right answer; the zero value is that it had.
type failure struct {
	code, entry, answer string
	open                time.Time // see Loss
}

// maxAnswer bounds how much of an answer's words is kept.
const maxAnswer = 300

func failed(code, entry, answer string) failure {
	return failure{code: code, entry: entry, answer: answer[:min(len(answer), maxAnswer)]}
}

// way is where the connection leads that a request goes over; the last one where it
// was sent anew.
type way struct {
	mu           sync.Mutex // a dial may outlive the request that it was for
	dialled, got string
}

// entry is that of a Loss.
func (w *way) entry() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return cmp.Or(w.got, w.dialled)
}

func (w *way) entering(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		ConnectDone: func(_, addr string, err error) {
			if err == nil {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.dialled = addr
			}
		},
		GotConn: func(i httptrace.GotConnInfo) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.got = i.Conn.RemoteAddr().String()
		},
	})
}

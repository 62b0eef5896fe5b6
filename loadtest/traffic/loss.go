package traffic

import (
	"context"
	"net/http/httptrace"
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
	// Entry is where the visitor's connection led, host:port; "" if there was none.
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

// entering notes where the connection leads that a request goes over; the last one
// where it was sent anew. *at may be read when the request has its answer.
func entering(ctx context.Context, at *string) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { *at = i.Conn.RemoteAddr().String() },
	})
}

package edge

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"trunkline/internal/fault"
)

// Expect: 100-continue (RFC 9110, section 10.1.1) goes from end to end: the
// browser is told to send its body when the portal asks for it; if the portal
// answers instead, the answer takes the body's place and no byte of it is sent.
//
// fasthttp calls expect before it reads the body, and then handle if the body
// is wanted: the exchange is served in two parts, and waits in conn.expecting
// in between.

// continueAfter is how long a portal may leave it open whether it wants the
// body: many know nothing of Expect and wait for it. It is curl's time.
const continueAfter = time.Second

var interimContinue = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// errBodyWanted says that the exchange goes on with its body.
var errBodyWanted = errors.New("the body is wanted")

// expectation makes fasthttp see every Expect of a request with a body: it
// knows the field by one spelling, and one value of it. What is expected is
// checkExpect's to say.
func expectation(h *fasthttp.RequestHeader) {
	if !hasBody(h) {
		return
	}
	for line := range bytes.SplitSeq(h.RawHeaders(), []byte("\n")) {
		if hasPrefixFold(line, "expect:") {
			h.Set(fasthttp.HeaderExpect, "100-continue")
			return
		}
	}
}

func hasBody(h *fasthttp.RequestHeader) bool {
	n := h.ContentLength()
	return n > 0 || n == -1 // chunked
}

// checkExpect refuses what nobody knows how to meet.
func (x *exchange) checkExpect() error {
	for _, f := range x.req.fields {
		if f.kind == kExpect && !x.req.http10 && !strings.EqualFold(string(f.value), "100-continue") {
			return fault.New(fault.ExpectFailed, "The request's Expect has a value other than 100-continue.")
		}
	}
	return nil
}

// expect serves the first part of a request that may wait for a 100.
func (e *Edge) expect(ctx *fasthttp.RequestCtx) int {
	c := ctx.Conn().(*conn)
	if !hasBody(&ctx.Request.Header) {
		c.mute = true // fasthttp's 100: there is nothing to wait with
		return fasthttp.StatusContinue
	}
	x := e.begin(ctx)
	x.expects = true
	err := x.descend()
	if errors.Is(err, errBodyWanted) {
		if _, werr := c.Write(interimContinue); werr == nil {
			c.expecting, c.mute = x, true
			return fasthttp.StatusContinue
		}
		x.letGo()
		err = errGone
	}
	x.finish(err)
	return ctx.Response.StatusCode() // of a page; what the portal answered is out
}

// noBody ends an exchange whose body failed before its second part.
func (x *exchange) noBody(err error) {
	x.letGo()
	x.req = request{method: x.req.method} // fasthttp has thrown the head away
	x.c.linger = true
	if isTimeout(err) {
		x.finish(fault.New(fault.HelloTimeout, "The upload stood still for too long."))
		return
	}
	x.finish(errGone)
}

// expected is the exchange that c waits for the body of, once.
func (c *conn) expected() *exchange {
	x := c.expecting
	c.expecting = nil
	return x
}

// letGo ends an exchange's stream between its parts.
func (x *exchange) letGo() {
	if x.link != nil {
		x.e.pool.drop(x.link)
	}
}

// ask sends the head and waits for the portal's word. It returns errBodyWanted
// or what became of the answer.
func (x *exchange) ask() error {
	out := getBuf(smallBuf)
	defer putBuf(out)
	head := x.appendRequest(out[:0])
	head = append(head[:len(head)-len("\r\n")], "Expect: 100-continue\r\n\r\n"...)
	l := x.link
	l.armedR = time.Time{}
	if err := l.SetWriteDeadline(time.Now().Add(x.e.o.Limits.Answer)); err != nil {
		return fmt.Errorf("send request: %w", err)
	}
	if _, err := l.Write(head); err != nil && !errors.Is(err, syscall.EPIPE) {
		return fmt.Errorf("send request: %w", err)
	}
	if err := l.SetReadDeadline(time.Now().Add(continueAfter)); err != nil {
		return fmt.Errorf("send request: %w", err)
	}
	x.asked = true
	var a answer
	a.fields = x.c.answerFields[:0]
	for range maxInterim {
		n, err := x.awaitHead(nil)
		if fault.CodeOf(err) == fault.PortalTimeout {
			return errBodyWanted
		}
		if err != nil {
			return err
		}
		if a.parse(l.buf[l.r:l.r+n]) != nil || a.status == 101 {
			return fault.New(fault.PortalGarbage, "The PBX's portal did not answer in HTTP.")
		}
		l.r += n
		switch {
		case a.status == 100:
			return errBodyWanted
		case a.status >= 200:
			x.c.answerFields = a.fields
			return x.reply(unsent(), &a)
		}
	}
	return fault.New(fault.PortalGarbage, "The PBX's portal sent interim answers only.")
}

var errUnsent = errors.New("the body was not asked for")

// unsent is the upload of a body that stays where it is: neither connection
// can carry another request, since the browser may send it all the same.
func unsent() *upload {
	u := &upload{done: make(chan struct{}), portal: errUnsent}
	close(u.done)
	return u
}

// goOn is the second part, with the body.
func (x *exchange) goOn() error {
	x.expects = false
	if x.link == nil {
		return x.door()
	}
	x.c.startWatch(x)
	err := x.converse()
	x.c.stopWatch()
	return x.conclude(err)
}

// waitsForContinue reports whether x/net has taken an Expect: 100-continue out
// of a request's head; it answers it when the body is first read, and tells
// nobody. If a version to come keeps that elsewhere, the portal is not asked.
func waitsForContinue(body any) bool {
	v := reflect.Indirect(reflect.ValueOf(body))
	if v.Kind() != reflect.Struct {
		return false
	}
	f := v.FieldByName("needsContinue")
	return f.Kind() == reflect.Bool && f.Bool()
}

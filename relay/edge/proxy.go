package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"trunkline/internal/fault"
)

// proxy is the way from the route on. A stream from the pool may have been
// closed by the portal in the meantime, and a tunnel may be lost: a request that
// may be sent twice is, once each, on a new stream, as long as nothing of an answer
// has come.
func (x *exchange) proxy() error {
	x.what = "portal"
	h := x.header()
	idempotent := x.idempotent()
	maxIdle := x.e.o.Limits.StreamIdle
	switch {
	case x.wantUpgrade:
		maxIdle = -1
	case !idempotent:
		maxIdle = freshEnough
	}
	if err := x.enterQuotas(); err != nil {
		return err
	}
	return x.tryStreams(h, maxIdle, idempotent)
}

func (x *exchange) idempotent() bool {
	return x.req.length == 0 && (x.req.method == "GET" || x.req.method == "HEAD" || x.req.method == "OPTIONS" || x.req.method == "DELETE")
}

// header is what a stream for x begins with.
func (x *exchange) header() Header {
	v := &x.guest.Visit
	return Header{Service: "portal", Visit: v.ID, Who: v.Who, Method: v.Method, Trace: x.span.Parent()}
}

func (x *exchange) tryStreams(h Header, maxIdle time.Duration, idempotent bool) error {
	for fresh := false; ; {
		l, err := x.e.pool.take(h, x.route.Device, maxIdle, x)
		switch over := x.isVisitOver(); { // it may have waited long
		case over && err == nil:
			x.e.pool.drop(l)
			fallthrough
		case over:
			return fault.Over(x.endedBy())
		case err != nil && x.gone(err):
			return errGone
		case err != nil:
			return err
		}
		x.link, x.reused = l, l.used
		l.repeatable(idempotent && x.onlyReads() && !x.wantUpgrade)
		x.uploading.Store(x.req.length != 0) // the body's reader comes: the watch must leave it alone
		x.c.startWatch(x)
		(&toll{x: x}).pay(nil) // what others owe
		err = x.converse()
		if x.upgraded {
			return nil
		}
		x.c.stopWatch()
		if err == nil || errors.Is(err, errBodyWanted) {
			return err
		}
		if !idempotent || !x.isStale(err) && (fresh || !x.isLost(err)) {
			return x.conclude(err)
		}
		fresh = !l.used
		x.e.pool.drop(l)
		x.e.m.retries.Inc()
		maxIdle = -1
	}
}

// pay implements taker.
func (x *exchange) pay() error { return x.dues.open() }

// waits implements taker: a stream may be long in coming, and who asked for it is
// watched meanwhile.
func (x *exchange) waits(leave context.CancelFunc) {
	if leave == nil {
		x.c.stopWatch()
		x.leave = nil
		return
	}
	x.leave = leave
	x.uploading.Store(x.req.length != 0)
	x.c.startWatch(x)
}

func (x *exchange) isVisitOver() bool {
	select {
	case <-x.guest.Ended:
		return true
	default:
		return false
	}
}

// endedBy is the code of what ended the visit.
func (x *exchange) endedBy() fault.Code {
	if x.guest.Why != nil {
		if c := x.guest.Why(); c != "" {
			return c
		}
	}
	return fault.VisitEnded
}

// isStale reports whether err means that a kept stream had ended before it was
// used again.
func (x *exchange) isStale(err error) bool {
	return x.link.used && !isTimeout(err) && x.unanswered(err)
}

// isLost reports whether err means that the tunnel was lost, or the link to the
// relay that has it, before anything of an answer had come. What only reads is then
// asked for again of wherever the PBX is (RFC 9110, section 9.2.2).
func (x *exchange) isLost(err error) bool {
	code := fault.CodeOf(err)
	return (code == fault.ConnectionLost || code == fault.RelayLost) && x.onlyReads() && x.unanswered(err)
}

// onlyReads is of requests that may be sent twice: it is not for the relay to delete
// what has come back meanwhile.
func (x *exchange) onlyReads() bool { return x.req.method != "DELETE" }

// unanswered: nothing has come before err, and the browser is there.
func (x *exchange) unanswered(err error) bool {
	return x.link.r == x.link.w && !x.begun && !x.gone(err)
}

func (x *exchange) gone(err error) bool {
	return x.cause.Load() != nil || errors.Is(err, errGone)
}

// conclude says what becomes of a conversation that has come to err.
func (x *exchange) conclude(err error) error {
	if err == nil {
		return nil
	}
	x.e.pool.drop(x.link)
	if x.gone(err) {
		return errGone
	}
	x.err = err
	return portalFault(err)
}

// converse sends the request, receives the answer and passes it on. If it
// returns nil the stream has been put away; if not, it is the caller's to drop.
func (x *exchange) converse() error {
	if x.expects {
		return x.ask()
	}
	u, err := x.send()
	if err != nil {
		return err
	}
	return x.receive(u)
}

// receive is the second half of a conversation.
func (x *exchange) receive(u *upload) error {
	var a answer
	a.fields = x.c.answerFields[:0]
	if err := x.await(u, &a); err != nil {
		x.stopUpload(u)
		if u != nil && u.browser != nil {
			err = u.browser
			x.c.linger = true
		}
		x.dontReuse(u)
		return err
	}
	x.c.answerFields = a.fields
	if a.status == 101 {
		return x.handOver(&a)
	}
	return x.reply(u, &a)
}

// dontReuse closes the browser's connection after the answer if part of the
// request may be on it still.
func (x *exchange) dontReuse(u *upload) {
	if u != nil && (u.browser != nil || u.portal != nil || x.unread()) {
		x.mustClose()
		x.c.linger = true
	}
}

func (x *exchange) unread() bool {
	return x.req.length < 0 || x.in.Load() < x.req.length
}

// send writes the request. A body that fasthttp has read already goes with
// the head in one write; another one is left to an upload.
func (x *exchange) send() (*upload, error) {
	out := getBuf(smallBuf)
	defer putBuf(out)
	head := out[:0]
	if !x.asked {
		head = x.appendRequest(head)
	}
	var body io.Reader
	if x.req.length != 0 {
		body = x.ctx.RequestBodyStream()
	}
	if n := x.req.length; body != nil && n > 0 && n <= prefetched {
		at := len(head)
		head = append(head, make([]byte, n)...)
		if _, err := io.ReadFull(body, head[at:]); err != nil {
			return nil, browserError(err)
		}
		x.in.Store(n)
		x.uploading.Store(false)
		body = nil
	}
	l, now := x.link, time.Now()
	l.armedR = time.Time{}
	if err := l.SetDeadline(now.Add(x.e.o.Limits.Answer)); err != nil {
		return nil, fmt.Errorf("send request: %w", err)
	}
	// Whoever has closed the stream may have said why: that is still to be read.
	if len(head) > 0 {
		if _, err := l.Write(head); err != nil && !errors.Is(err, syscall.EPIPE) {
			return nil, fmt.Errorf("send request: %w", err)
		}
	}
	if body == nil {
		return nil, nil
	}
	return x.startUpload(body), nil
}

// prefetched is how much of a body fasthttp reads before it calls a handler.
const prefetched = 8 << 10

// await reads the portal's final head; interim ones (1xx) are skipped, since
// the browser sends its body as it is.
func (x *exchange) await(u *upload, a *answer) error {
	l := x.link
	for range maxInterim {
		n, err := x.awaitHead(u)
		if err != nil {
			return err
		}
		if err := a.parse(l.buf[l.r : l.r+n]); err != nil {
			return fault.New(fault.PortalGarbage, "The PBX's portal did not answer in HTTP.")
		}
		if a.status == 101 && x.wantUpgrade && a.upgrade != nil {
			l.r += n
			return nil
		}
		if a.status == 101 {
			break
		}
		if a.status >= 200 {
			l.r += n
			x.e.m.answered(time.Since(x.start), x.guest.Visit.ID)
			return nil
		}
		l.r += n
	}
	return fault.New(fault.PortalGarbage, "The PBX's portal sent interim answers only.")
}

// awaitHead reads until a whole head is there.
func (x *exchange) awaitHead(u *upload) (int, error) {
	l := x.link
	for {
		if b := l.buf[l.r:l.w]; len(b) > 0 {
			if n := headEnd(b); n > 0 {
				return n, nil
			} else if !plausible(b) {
				return 0, fault.New(fault.PortalGarbage, "The PBX's portal did not answer in HTTP.")
			}
		}
		_, err := l.fill()
		switch {
		case err == nil:
		case errors.Is(err, io.ErrShortBuffer):
			return 0, fault.New(fault.PortalGarbage, "The PBX's portal sent headers of more than %d KiB.", maxAnswerHead/1024)
		case isTimeout(err) && x.stillUploading(u):
		case isTimeout(err):
			return 0, fault.New(fault.PortalTimeout, "The PBX's portal did not answer within %s.", x.e.o.Limits.Answer)
		case errors.Is(err, io.EOF) && l.w > l.r:
			return 0, fmt.Errorf("read answer: %w", io.ErrUnexpectedEOF)
		default:
			return 0, fmt.Errorf("read answer: %w", err)
		}
	}
}

// stillUploading gives the portal its whole time again after the upload's
// last progress, of which the upload itself takes care.
func (x *exchange) stillUploading(u *upload) bool {
	if u == nil {
		return false
	}
	limit := x.e.o.Limits.Answer
	quiet := since(u.moved.Load())
	if x.uploading.Load() {
		quiet = 0
	}
	return quiet < limit && x.link.SetReadDeadline(time.Now().Add(limit-quiet)) == nil
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// portalFault says in a code what became of the portal. The agent's refusals
// are faults already.
func portalFault(err error) *fault.Error {
	var f *fault.Error
	switch {
	case errors.As(err, &f):
		return f
	case isTimeout(err):
		return fault.New(fault.PortalTimeout, "The PBX's portal stopped in the middle of its answer.")
	}
	return fault.New(fault.PortalReset, "The PBX's portal closed the connection without a complete answer.")
}

// keepBrowser reports whether the browser's connection serves another request
// after this answer, and makes fasthttp think the same.
func (x *exchange) keepBrowser(delimited, uploaded bool) bool {
	keep := delimited && uploaded && !x.req.close && !x.e.retiring.Load() && (x.ctx == nil || !x.ctx.Request.Header.ConnectionClose())
	if x.req.http10 && !hasKeepAlive(&x.req) {
		keep = false
	}
	if !keep {
		x.mustClose()
	}
	return keep
}

func hasKeepAlive(r *request) bool {
	for _, n := range r.named {
		if strings.EqualFold(string(n), "keep-alive") {
			return true
		}
	}
	return false
}

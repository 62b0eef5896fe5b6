package agent

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"

	"trunkline/agent/coding"
	"trunkline/internal/fault"
	"trunkline/internal/tunnel"
)

// serve carries one stream of a relay's to the portal, until either ends. It
// owns the stream.
func (p *portal) serve(ctx context.Context, h tunnel.Header, stream net.Conn) {
	p.met.streams.Inc()
	defer p.met.streams.Dec()
	conn, err := p.answer(ctx, h)
	p.met.opened(err)
	if err != nil {
		p.log.Debug("stream refused", zap.String("visit", string(h.Visit)), zap.String("code", string(fault.CodeOf(err))), zap.Error(err))
		// The stream is over either way.
		_ = tunnel.RefuseStream(stream, err)
		return
	}
	defer func() { <-p.slots }()
	if err := tunnel.AcceptStream(stream); err != nil {
		conn.Close()
		stream.Close()
		return
	}
	if p.coder != nil {
		stream = p.coder.Wrap(stream, p.proxy == nil)
	}
	if p.proxy != nil {
		c := &counted{Conn: stream}
		p.proxy(ctx, h, c, conn)
		stream.Close()
		p.met.bytesIn.Add(float64(c.in.Load()))
		p.met.bytesOut.Add(float64(c.out.Load()))
		return
	}
	in, out := splice(ctx, stream, conn)
	p.met.bytesIn.Add(float64(in))
	p.met.bytesOut.Add(float64(out))
}

// answer takes a slot and dials. If it errs, the slot is free again.
func (p *portal) answer(ctx context.Context, h tunnel.Header) (net.Conn, *fault.Error) {
	if h.Service != tunnel.ServicePortal {
		return nil, fault.New(fault.NotFound, "This agent has no such service.")
	}
	if !p.take(ctx) {
		return nil, fault.New(fault.TooMany, "The agent has %d connections to the PBX's web server already (portal.max_streams).", cap(p.slots))
	}
	conn, err := p.dial(ctx)
	if err != nil {
		<-p.slots
		var f *fault.Error
		if !errors.As(err, &f) {
			panic("BUG: the portal's dialler returned an error without a code")
		}
		return nil, f
	}
	return conn, nil
}

// slotWait is how long a stream waits for another's end: the relay counts a
// stream no more as soon as it has closed it, which is before we know.
const slotWait = time.Second

// take takes a slot and reports whether it got one.
func (p *portal) take(ctx context.Context) bool {
	select {
	case p.slots <- struct{}{}:
		return true
	default:
	}
	t := time.NewTimer(slotWait)
	defer t.Stop()
	select {
	case p.slots <- struct{}{}:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

type buffer [tunnel.WriteSize]byte

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// splice copies both ways until either way ends, and closes both. HTTP says
// where bodies end, so nobody needs half a connection. It returns the bytes
// that went to the portal and those that came from it.
func splice(ctx context.Context, stream, conn net.Conn) (in, out int64) {
	var once sync.Once
	end := func() {
		once.Do(func() {
			stream.Close()
			conn.Close()
		})
	}
	stop := context.AfterFunc(ctx, end)
	defer stop()

	var wg sync.WaitGroup
	wg.Go(func() {
		in, _ = carry(conn, stream)
		end()
	})
	out, err := carry(stream, conn)
	if c, ok := stream.(*coding.Conn); ok && err == nil {
		_ = c.Finish() // the relay has gone if that fails
	}
	end()
	wg.Wait()
	return in, out
}

// carry copies src to dst until either fails or ends. It is io.CopyBuffer, but
// for leaving WriterTo and ReaderFrom alone: one of the two is never a socket,
// so all they would do is to allocate a buffer of their own.
func carry(dst io.Writer, src io.Reader) (n int64, err error) {
	buf := buffers.Get().(*buffer)
	defer buffers.Put(buf)
	for {
		k, err := src.Read(buf[:])
		if k > 0 {
			w, werr := dst.Write(buf[:k])
			n += int64(w)
			if werr != nil {
				return n, werr
			}
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

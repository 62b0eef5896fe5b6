package edge

import (
	"bytes"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// timed notes the read deadline that it is given.
type timed struct {
	net.Conn
	by time.Time
}

func (t *timed) SetReadDeadline(by time.Time) error { t.by = by; return nil }

// A head has a time to be whole in, from its first frame on and not anew with
// each; whatever else comes has none.
func TestHeadsHaveTheirTime(t *testing.T) {
	var b bytes.Buffer
	f := http2.NewFramer(&b, nil)
	frame := func(write func() error) []byte {
		b.Reset()
		if err := write(); err != nil {
			t.Fatal(err)
		}
		return bytes.Clone(b.Bytes())
	}
	headers := func(end bool) []byte {
		return frame(func() error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("half"), EndHeaders: end})
		})
	}
	more := func(end bool) []byte {
		return frame(func() error { return f.WriteContinuation(1, end, []byte("more")) })
	}
	data := frame(func() error { return f.WriteData(1, false, []byte("data")) })
	raw := new(timed)
	c := newCalmConn(tls.Server(raw, new(tls.Config)), time.Hour, func(string) {})
	for i, step := range []struct {
		b     []byte
		timed bool
	}{
		{[]byte(http2.ClientPreface), false},
		{headers(true), false},
		{headers(true)[:12], true}, {headers(true)[12:], false},
		{headers(false), true}, {more(false), true}, {more(true)[:3], true}, {more(true)[3:10], true}, {more(true)[10:], false},
		{data[:11], false}, {data[11:], false},
		{headers(false), true}, {more(true), false},
	} {
		before := raw.by
		c.pass(step.b)
		c.time()
		if raw.by.IsZero() == step.timed {
			t.Fatalf("step %d: the deadline is %v", i, raw.by)
		}
		if step.timed && !before.IsZero() && raw.by != before {
			t.Errorf("step %d: it has its time anew", i)
		}
	}
}

package edge

import (
	"crypto/tls"
	"encoding/binary"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/time/rate"
)

// What a browser may send that costs more to heed than to say. Browsers send a
// handful of each; who sends more gets a GOAWAY of ENHANCE_YOUR_CALM (RFC 9113,
// section 10.5).
const (
	// SETTINGS, PING and empty DATA: at once, and a second. The first two have to
	// be answered; the last moves nothing (CVE-2019-9512, -9515, -9518).
	maxWords, wordsASecond = 200, 10
	// PRIORITY and frames of types that we do not know, for every request and
	// beyond it (CVE-2019-9513).
	asidesPerRequest, maxAsides = 10, 200
	// maxResets is how many more streams of a connection a browser may take back
	// than it lets end. Who leaves a page takes back dozens. A stream that is reset
	// at once is beyond the limit of concurrent ones, and has cost its opening
	// (CVE-2023-44487).
	maxResets = 256
)

var errCalm = http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)

// calmConn is a browser's connection below x/net's server, and looks at the
// headers of the frames that pass. An error that its Read returns x/net tells the
// browser as its GOAWAY.
type calmConn struct {
	*tls.Conn
	count  func(reason string)
	limit  time.Duration // for a request's head to be whole in
	timed  bool          // one has begun, and its time runs
	within bool          // the last frame was of a head
	open   bool          // and not its last
	words  *rate.Limiter
	asides int
	resets atomic.Int64 // taken back, less those that ended
	err    error

	skip int // bytes to the next frame's header
	head [9]byte
	have int // of head
}

func newCalmConn(c *tls.Conn, limit time.Duration, count func(reason string)) *calmConn {
	return &calmConn{
		Conn: c, count: count, limit: limit, words: rate.NewLimiter(wordsASecond, maxWords), asides: maxAsides, skip: len(http2.ClientPreface),
	}
}

// Read is x/net's one reader's.
func (c *calmConn) Read(b []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	c.time()
	n, err := c.Conn.Read(b)
	reason := c.pass(b[:n])
	if n == 0 && c.timed && isTimeout(err) {
		reason = "slow_head" // x/net waits within it, and looks at no other limit
	}
	if reason != "" {
		c.count(reason)
		c.err = errCalm
		return 0, c.err // x/net has read no more than its frame's header
	}
	return n, err
}

// time has a head be whole in time. No other read has a deadline.
func (c *calmConn) time() {
	switch half := c.open || c.within && c.skip > 0; {
	case half == c.timed:
	case half:
		c.timed = true
		_ = c.SetReadDeadline(time.Now().Add(c.limit))
	default:
		c.timed = false
		_ = c.SetReadDeadline(time.Time{})
	}
}

// pass is why what comes is too much, or "".
func (c *calmConn) pass(b []byte) (reason string) {
	for len(b) > 0 {
		if c.skip > 0 {
			n := min(c.skip, len(b))
			c.skip, b = c.skip-n, b[n:]
			continue
		}
		n := copy(c.head[c.have:], b)
		c.have, b = c.have+n, b[n:]
		if c.have < len(c.head) {
			return ""
		}
		c.have = 0
		length := binary.BigEndian.Uint32(c.head[:]) >> 8
		c.skip = int(length)
		if reason := c.frame(http2.FrameType(c.head[3]), http2.Flags(c.head[4]), length); reason != "" {
			return reason
		}
	}
	return ""
}

func (c *calmConn) frame(t http2.FrameType, f http2.Flags, length uint32) (reason string) {
	if c.within = t == http2.FrameHeaders || t == http2.FrameContinuation; c.within {
		c.open = !f.Has(http2.FlagHeadersEndHeaders)
	}
	switch t {
	case http2.FrameHeaders:
		c.asides = min(c.asides+asidesPerRequest, maxAsides)
	case http2.FrameData:
		if length == 0 && !f.Has(http2.FlagDataEndStream) && !c.words.Allow() {
			return "empty_data_flood"
		}
	case http2.FrameSettings:
		if !c.words.Allow() {
			return "settings_flood"
		}
	case http2.FramePing:
		if !c.words.Allow() {
			return "ping_flood"
		}
	case http2.FrameRSTStream:
		if c.resets.Add(1) > maxResets {
			return "rapid_reset"
		}
	case http2.FrameWindowUpdate, http2.FrameContinuation, http2.FrameGoAway: // x/net bounds what they can do, and answers none
	default:
		if c.asides--; c.asides < 0 {
			return "aside_flood"
		}
	}
	return ""
}

// ended counts a stream that the browser let end.
func (c *calmConn) ended() {
	if c.resets.Add(-1) < 0 {
		c.resets.Add(1)
	}
}

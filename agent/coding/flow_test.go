package coding_test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"trunkline/agent/coding"
)

// A page that trickles arrives as it does: what one write brought can be
// decoded before the next.
func TestTrickle(t *testing.T) {
	for what, head := range map[string]string{ // what begins with the coding
		"gzip in chunks": "Transfer-Encoding: chunked\r\n", "gzip of a length": "Content-Length: 3000000\r\n", "gzip to the end": "",
		"zstd in chunks": "Transfer-Encoding: chunked\r\n", "zstd of a length": "Content-Length: 3000000\r\n", "zstd to the end": "",
	} {
		as, request := what[:4], ask
		if as == "zstd" {
			request = askZstd
		}
		relay, end := net.Pipe()
		_ = relay.SetDeadline(time.Now().Add(30 * time.Second))
		c := coder().Wrap(end, true)
		go func() { _, _ = relay.Write([]byte(request)) }()
		if _, err := c.Read(make([]byte, 1024)); err != nil {
			t.Fatal(err)
		}
		write := func(s string) {
			if head == "Transfer-Encoding: chunked\r\n" && !strings.HasPrefix(s, "HTTP") {
				s = strings.TrimSuffix(chunked(s, ""), "0\r\n\r\n")
			}
			if _, err := c.Write([]byte(s)); err != nil {
				t.Error(err)
			}
		}
		go write("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n" + head + "\r\n")
		// The relay takes the chunks off; so does this reader, of whole writes.
		got := func() []byte {
			b := make([]byte, 64<<10)
			n, err := relay.Read(b)
			if err != nil {
				t.Fatalf("%s: nothing arrives: %v", what, err)
			}
			return b[:n]
		}
		if b := got(); !bytes.HasSuffix(b, []byte("\r\n\r\n")) || !bytes.Contains(b, []byte("Content-Encoding: "+as)) {
			t.Fatalf("%s: the head is %q", what, b)
		}
		var z bytes.Buffer
		var sofar string
		for _, piece := range []string{"<p>one", "<p>two" + page, strings.Repeat(page, 10), "<p>"} {
			go write(piece)
			for sofar += piece; ; {
				_, b, _ := bytes.Cut(got(), []byte("\r\n"))
				z.Write(bytes.TrimSuffix(b, []byte("\r\n")))
				if b, _ := decode(as, z.Bytes()); string(b) == sofar {
					break
				} else if !strings.HasPrefix(sofar, string(b)) {
					t.Fatalf("%s: bytes were changed", what)
				}
			}
		}
		c.Close()
		relay.Close()
	}
}

// The portal hears its own ETags, and the browser ours.
func TestConditions(t *testing.T) {
	for portal, browser := range map[string]string{`"5e3-61a"`: `W/"5e3-61a+tl"`, `""`: `W/"+tl"`, `W/"weak"`: `W/"weak"`, `bare`: `bare`, `"a"b"`: `"a"b"`} {
		if got := coding.MarkedForTest(portal); got != browser {
			t.Errorf("%s became %s", portal, got)
		}
		if got := coding.UnmarkedForTest(browser); got != portal {
			t.Errorf("%s came back as %s", browser, got)
		}
	}
	for list, want := range map[string]string{
		`W/"a+tl", "b", W/"c", W/"d,+tl" ,*`: `"a", "b", W/"c", "d," ,*`,
		`"a+tl"`:                             `"a"`, `W/"a+tl`: `W/"a+tl`, `+tl"`: `+tl"`, `*`: `*`,
	} {
		if got := coding.UnmarkedForTest(list); got != want {
			t.Errorf("%s became %s, want %s", list, got, want)
		}
	}

	conditions := func(fields string) string { return strings.Replace(ask, "Host: pbx\r\n", "Host: pbx\r\n"+fields, 1) }
	f := func(what, asked, heard, answer, told string) {
		t.Helper()
		s := &stream{in: newReader(asked)}
		c := coder().Wrap(s, true)
		if got := drain(t, c); got != heard {
			t.Errorf("%s: the portal heard %q", what, got)
		}
		if _, err := c.Write([]byte(answer)); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(s.out.String(), "\r\nETag: "+told+"\r\n") {
			t.Errorf("%s: the browser was told %q", what, s.out.String())
		}
	}
	fresh := "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n"
	f("our ETag, still fresh", conditions("If-None-Match: W/\"1+tl\"\r\n"), conditions("If-None-Match: \"1\"\r\n"), fresh, `W/"1+tl"`)
	f("the portal's own", conditions("If-None-Match: \"1\"\r\n"), conditions("If-None-Match: \"1\"\r\n"), fresh, `"1"`)
	f("our ETag, stale", conditions("If-None-Match: W/\"1+tl\"\r\n"), conditions("If-None-Match: \"1\"\r\n"), plain(`ETag: "2"`), `W/"2+tl"`)
	f("a change on condition", conditions("If-Match: W/\"1+tl\"\r\n"), conditions("If-Match: \"1\"\r\n"), fresh, `W/"1+tl"`)
	// The rest of a coded body is in no file of the portal's.
	rest := conditions("Range: bytes=99-\r\nIf-Range: W/\"1+tl\"\r\n")
	f("the rest, if fresh", rest, rest, plain(`ETag: "1"`), `"1"`)
}

func TestAcceptEncoding(t *testing.T) {
	for in, want := range map[string]string{
		"gzip, deflate, br, zstd": "zstd gzip", "gzip": "gzip", "x-gzip": "gzip", "GZIP;q=0.5": "gzip", "zstd": "zstd", "": "", "identity": "", "br": "",
		"gzip;q=0": "", "gzip; q=0.000": "", "gzip ; q = 0.001": "gzip", "gzip;q=1": "gzip", "gzip;q=1.000": "gzip", "*": "zstd gzip", "*;q=0": "",
		"*;q=0, gzip": "gzip", "gzip;q=0, *": "zstd", "identity;q=0, *;q=0.1": "zstd gzip",
		"gzip;q=": "", "gzip;q=nan": "", "gzip;q=-1": "", "gzip;q=0.0001": "", "gzip;q=2": "", "gzip;level=9": "", "gzipx": "", "gz ip": "",
	} {
		if got := coding.AcceptedForTest(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := coding.AcceptedForTest("br", "zstd;q=0", "gzip"); got != "gzip" {
		t.Errorf("in three lines: %q", got)
	}
}

// Memory is bounded: beyond some bodies at a time they pass as they are, and
// whatever ends gives its room back.
func TestTooManyAtATime(t *testing.T) {
	reg := prometheus.NewRegistry()
	c := coding.New(reg)
	var open []*world
	begin := func(ask, as string) {
		t.Helper()
		w := newWorld(t, c, ask)
		if err := w.say(plain()[:3000]); err != nil || !strings.Contains(w.s.out.String(), "Content-Encoding: "+as+"\r\n") {
			t.Fatalf("%.300q, %v", w.s.out.String(), err)
		}
		open = append(open, w)
	}
	for range coding.MaxZstdForTest {
		begin(askZstd, "zstd")
	}
	for range coding.MaxCodingForTest - coding.MaxZstdForTest {
		begin(askZstd, "gzip")
	}
	want := plain("Vary: Accept-Encoding")
	w := newWorld(t, c, askZstd)
	if err := w.say(plain()); err != nil || w.s.out.String() != want {
		t.Errorf("one more became %.200q, %v", w.s.out.String(), err)
	}
	for i, w := range open {
		if i%2 == 0 {
			w.Close()
			w.Close()
		} else if err := w.say(plain()[3000:]); err != nil {
			t.Fatal(err)
		}
	}
	if n := c.CodingForTest(); n != 0 {
		t.Errorf("%d are being coded when all have ended", n)
	}
	open = nil
	begin(askZstd, "zstd") // again: there is room
	if err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP trunkline_agent_compressed_answers_total Answers of the portal that were compressed, by coding; none is those that found no room (too many at a time).
# TYPE trunkline_agent_compressed_answers_total counter
trunkline_agent_compressed_answers_total{coding="gzip"} 60
trunkline_agent_compressed_answers_total{coding="none"} 1
trunkline_agent_compressed_answers_total{coding="zstd"} 5
`), "trunkline_agent_compressed_answers_total"); err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(reg, "trunkline_agent_compression_bytes_total"); n != 2 {
		t.Errorf("%d series of bytes", n)
	}
}

// Writes to a stream are frames: what one read of the portal brought is one.
func TestWritesAreGathered(t *testing.T) {
	w := newWorld(t, coder(), ask+ask)
	if err := w.say(plain() + strings.Replace(plain(), "text/html", "image/png", 1)); err != nil || w.s.writes != 1 {
		t.Errorf("two answers left in %d writes, %v", w.s.writes, err)
	}
	w = newWorld(t, coder(), ask)
	big := "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 1_000_000)
	for n := 0; n < len(big); n += 32 << 10 {
		if err := w.say(big[n:min(n+32<<10, len(big))]); err != nil {
			t.Fatal(err)
		}
	}
	if n := (len(big) + 32<<10 - 1) / (32 << 10); w.s.writes != n || w.s.out.String() != big {
		t.Errorf("%d pieces left in %d writes", n, w.s.writes)
	}
}

// A deadline that has passed, as net/http sets one to take a connection away
// from its server, is not the end.
func TestDeadlineIsNotTheEnd(t *testing.T) {
	relay, end := net.Pipe()
	defer relay.Close()
	c := coder().Wrap(end, true)
	defer c.Close()
	half := len(ask) / 2
	late := make(chan struct{})
	go func() {
		_, _ = relay.Write([]byte(ask[:half]))
		<-late
		_, _ = relay.Write([]byte(ask[half:]))
	}()
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1024)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %d, %v", n, err)
	}
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	close(late)
	b := make([]byte, 1024)
	if n, err := c.Read(b); err != nil || string(b[:n]) != ask {
		t.Errorf("read %q, %v", b[:n], err)
	}
}

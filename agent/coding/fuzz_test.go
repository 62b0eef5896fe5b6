package coding_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// split says where the next write ends: at any byte, by the bytes of how.
func split(b []byte, how []byte, f func([]byte) bool) {
	for i := 0; len(b) > 0; i++ {
		n := len(b)
		if len(how) > 0 {
			n = min(n, 1+int(how[i%len(how)])*int(how[i%len(how)]))
		}
		if !f(b[:n]) {
			return
		}
		b = b[n:]
	}
}

// Whatever a portal sends, and however it comes in pieces: a client sees the
// same answers with the same bodies, broken off at the same place, and the same
// bytes behind them.
func FuzzAnswers(f *testing.F) {
	for _, s := range []string{
		plain(), plain(`ETag: "1"`) + plain(), "HTTP/1.1 304 Not Modified\r\n\r\n" + plain(), plain()[:1000],
		"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(page[:1100], "A: b\r\n") + plain(),
		"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.ReplaceAll(chunked(page[:1100], ""), "2bc\r\n", "2BC;x=y\n"),
		"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(page[:1100], "") + plain(),
		"HTTP/1.0 200 OK\r\nContent-Type: text/css\r\n\r\n" + page, "HTTP/1.1 100 Continue\r\n\r\n" + plain(),
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x05hello", plain("Content-Encoding: gzip"),
		"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello" + plain(), "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n" + plain(),
	} {
		s = strings.ReplaceAll(s, page, page[:1100])
		s = strings.ReplaceAll(s, "Length: 5200", "Length: 1100")
		f.Add([]byte(s), []byte(nil), byte(3))
		f.Add([]byte(s), []byte{9, 3, 30}, byte(0x83))
		f.Add([]byte(s), []byte{3}, byte(3))
		f.Add([]byte(s), []byte{9, 3, 30}, byte(1))
	}
	c := coder()
	f.Fuzz(func(t *testing.T, answers, how []byte, asked byte) {
		request := ask
		if asked >= 0x80 {
			request = askZstd
		}
		w := newWorld(t, c, strings.Repeat(request, int(asked)%4))
		var err error
		split(answers, how, func(b []byte) bool {
			_, err = w.Write(bytes.Clone(b))
			return err == nil
		})
		if err == nil {
			err = w.Finish()
		}
		w.Close()
		if n := c.CodingForTest(); n != 0 {
			t.Fatalf("%d encoders are lost", n)
		}
		want, wantRest := look(answers, "GET", true)
		got, rest := look(w.s.out.Bytes(), "GET", true)
		if len(got) != len(want) {
			t.Fatalf("%d answers became %d", len(want), len(got))
		}
		for i, a := range want {
			b := got[i]
			ours := b.header.Get("Content-Encoding") != "" && a.header.Get("Content-Encoding") == ""
			if ours {
				b.undo()
			}
			if a.status != b.status || a.cut != b.cut || err == nil && a.body != b.body || !strings.HasPrefix(a.body, b.body) || !a.cut && a.trailer != b.trailer {
				t.Fatalf("answer %d was %d with %d bytes, trailers %q, cut off %v; it became %d with %d, %q, %v", i,
					a.status, len(a.body), a.trailer, a.cut, b.status, len(b.body), b.trailer, b.cut)
			}
			if ours && (a.status != 200 || len(a.body) < 1024 && !a.cut && a.header.Get("Content-Length") != "") {
				t.Fatalf("answer %d, %d with %d bytes, was coded", i, a.status, len(a.body))
			}
		}
		if !bytes.Equal(rest, wantRest) {
			t.Fatalf("%d bytes behind the answers became %d", len(wantRest), len(rest))
		}
	})
}

// Whatever a relay sends reaches the portal, byte for byte.
func FuzzRequests(f *testing.F) {
	for _, s := range []string{
		ask + ask, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + ask, "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello" + ask,
		strings.Replace(ask, "Host", "Upgrade: websocket\r\nHost", 1) + "\x81\x05hello", ask[:30], "\r\n" + ask,
		strings.Replace(ask, "Host", "If-None-Match: W/\"a+tl\", \"b\"\r\nHost", 1),
	} {
		f.Add([]byte(s), []byte(nil), 4096)
		f.Add([]byte(s), []byte{0}, 1)
		f.Add([]byte(s), []byte{3, 1}, 7)
	}
	c := coder()
	f.Fuzz(func(t *testing.T, requests, how []byte, size int) {
		s := &stream{}
		r, w := io.Pipe()
		go func() {
			split(requests, how, func(b []byte) bool { _, err := w.Write(b); return err == nil })
			w.Close()
		}()
		conn := c.Wrap(piped{s, r}, true)
		var got []byte
		b := make([]byte, 1+(size&0xfff))
		for {
			n, err := conn.Read(b)
			got = append(got, b[:n]...)
			if err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if bytes.Contains(requests, []byte(`+tl"`)) {
			// What we marked is put back, and nothing else.
			if len(got) > len(requests) || len(requests)-len(got) > 5*bytes.Count(requests, []byte(`+tl"`))+bytes.Count(requests, []byte(" "))+bytes.Count(requests, []byte("\t")) {
				t.Fatalf("%q became %q", requests, got)
			}
			return
		}
		if !bytes.Equal(got, requests) {
			t.Fatalf("%q became %q", requests, got)
		}
	})
}

type piped struct {
	*stream
	r io.Reader
}

func (p piped) Read(b []byte) (int, error) { return p.r.Read(b) }

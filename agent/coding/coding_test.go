package coding_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"trunkline/agent/coding"
)

// plain is an answer with a page of some KiB.
func plain(fields ...string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\n%s\r\n%s", len(page), lines(fields), page)
}

func lines(fields []string) string {
	var b strings.Builder
	for _, f := range fields {
		b.WriteString(f + "\r\n")
	}
	return b.String()
}

func chunked(b string, tail string) string {
	var out strings.Builder
	for len(b) > 0 {
		n := min(len(b), 700)
		fmt.Fprintf(&out, "%x\r\n%s\r\n", n, b[:n])
		b = b[n:]
	}
	return out.String() + "0\r\n" + tail + "\r\n"
}

// What is compressed, and what the browser is told then.
func TestCoded(t *testing.T) {
	c := coder()
	f := func(what, request, answer string) http.Header {
		t.Helper()
		as := "gzip"
		if strings.Contains(request, "zstd") {
			as = "zstd"
		}
		w := newWorld(t, c, request+request)
		for range 2 { // the second one shows that the end of the first was found
			if err := w.say(answer); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		if err := w.Finish(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		got, rest := look(w.s.out.Bytes(), "GET", false)
		if len(got) != 2 || len(rest) != 0 {
			t.Fatalf("%s: %d answers, and %d bytes behind them", what, len(got), len(rest))
		}
		for _, a := range got {
			if a.cut || a.body != page || a.header.Get("Content-Encoding") != as || a.header.Get("Vary") == "" || a.header.Get("Content-Length") != "" {
				t.Errorf("%s: %v, %d bytes, cut off: %v", what, a.header, len(a.body), a.cut)
			}
		}
		if w.s.out.Len() > len(page)/2 {
			t.Errorf("%s: %d bytes became %d", what, 2*len(answer), w.s.out.Len())
		}
		return got[1].header
	}
	f("a page", ask, plain())
	f("a page, of a browser that knows zstd", askZstd, plain())
	f("in chunks, of a browser that knows zstd", askZstd, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"+chunked(page, ""))
	f("asked for by address", strings.Replace(ask, "same-origin", "none", 1), plain())
	f("an answer to a form", strings.Replace(ask, "GET", "POST", 1), plain())
	f("with a body in the request", strings.Replace(ask, "GET / HTTP/1.1\r\n", "POST / HTTP/1.1\r\nContent-Length: 5\r\n", 1)+"hello", plain())
	f("with chunks in the request", strings.Replace(ask, "GET / HTTP/1.1\r\n", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", 1)+"5\r\nhello\r\n0\r\n\r\n", plain())
	f("in chunks", ask, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"+chunked(page, ""))
	f("lines end in LF", ask, fmt.Sprintf("HTTP/1.1 200 OK\nContent-Type: text/css\nContent-Length: %d\n\n%s", len(page), page))
	f("HTTP/1.0 that keeps the connection", ask, fmt.Sprintf("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Type: text/css\r\nContent-Length: %d\r\n\r\n%s", len(page), page))
	f("after interim answers", ask, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"+plain())
	f("no reason", ask, strings.Replace(plain(), "200 OK", "200", 1))
	f("an offer of HTTP/2", ask, plain("Upgrade: h2c", "Connection: Upgrade, Keep-Alive"))

	if h := f("ETag", ask, plain(`ETag: "5e3-61a"`, "Accept-Ranges: bytes")); h.Get("ETag") != `W/"5e3-61a+tl"` || h.Get("Accept-Ranges") != "" {
		t.Errorf("ETag: %v", h)
	}
	if h := f("a weak ETag", ask, plain(`ETag: W/"5e3"`)); h.Get("ETag") != `W/"5e3"` {
		t.Errorf("a weak ETag: %v", h)
	}
	if h := f("Vary", ask, plain("Vary: Cookie")); fmt.Sprint(h["Vary"]) != "[Cookie Accept-Encoding]" {
		t.Errorf("Vary: %v", h)
	}
	if h := f("Vary that says it", ask, plain("Vary: Origin, accept-encoding")); fmt.Sprint(h["Vary"]) != "[Origin, accept-encoding]" {
		t.Errorf("Vary that says it: %v", h)
	}
	if h := f("others stay", ask, plain("Set-Cookie: a=b", "set-cookie: c=d", "X-Odd:  v ")); fmt.Sprint(h["Set-Cookie"], h["X-Odd"]) != "[a=b c=d] [v]" {
		t.Errorf("others stay: %v", h)
	}
}

// Trailers and the portal's closing are kept.
func TestEnds(t *testing.T) {
	w := newWorld(t, coder(), ask)
	if err := w.say("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(page, "X-Sum: 7\r\n")); err != nil {
		t.Fatal(err)
	}
	if got, _ := look(w.s.out.Bytes(), "GET", false); len(got) != 1 || got[0].body != page || got[0].trailer != "X-Sum: 7" {
		t.Errorf("trailers: %+v", got)
	}

	for _, head := range []string{"HTTP/1.0 200 OK\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\n", "HTTP/1.1 200 OK\r\n"} {
		w = newWorld(t, coder(), ask)
		if err := w.say(head + "Content-Type: text/html\r\n\r\n" + page); err != nil {
			t.Fatal(err)
		}
		if got, _ := look(w.s.out.Bytes(), "GET", false); len(got) != 1 || !got[0].cut || got[0].body != page {
			t.Errorf("%q, before the portal closes: complete, or something is held back", head)
		}
		if err := w.Finish(); err != nil {
			t.Fatal(err)
		}
		got, _ := look(w.s.out.Bytes(), "GET", false)
		if len(got) != 1 || got[0].cut || got[0].body != page || strings.Count(w.s.out.String(), "Connection: close") != 1 {
			t.Errorf("%q: %+v", head, got)
		}
	}

	for _, ask := range []string{ask, askZstd} {
		w = newWorld(t, coder(), ask)
		if err := errors.Join(w.say("HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n"), w.Finish()); err != nil {
			t.Fatal(err)
		}
		if got, _ := look(w.s.out.Bytes(), "GET", false); len(got) != 1 || got[0].cut || got[0].body != "" {
			t.Errorf("nothing became %q", w.s.out.String())
		}
	}

	// Where nobody tells of the end, there is none to wait for.
	s := &stream{in: newReader(ask)}
	c := coder().Wrap(s, false)
	drain(t, c)
	raw := "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n" + page
	if _, err := c.Write([]byte(raw)); err != nil || !strings.HasSuffix(s.out.String(), page) {
		t.Errorf("the end of the connection is the body's, and nobody tells of it: %v", err)
	}
}

// What passes byte for byte, and the next answer after it.
func TestUntouched(t *testing.T) {
	f := func(what, request, answer string) {
		t.Helper()
		w := newWorld(t, coder(), request+ask)
		if err := w.say(answer + plain()); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		out := w.s.out.String()
		if !strings.HasPrefix(out, answer) {
			t.Errorf("%s: it became %.300q", what, out)
			return
		}
		// Whoever was sure of where it ended codes the next one.
		if got, _ := look(w.s.out.Bytes()[len(answer):], "GET", false); len(got) != 1 || got[0].header.Get("Content-Encoding") != "gzip" || got[0].body != page {
			t.Errorf("%s: the next answer is %.200q", what, out[len(answer):])
		}
	}
	vary := "Vary: Accept-Encoding"
	from := func(site string) string {
		return strings.Replace(ask, "Sec-Fetch-Site: same-origin\r\n", site+"Cookie: sid=1\r\n", 1)
	}
	f("another site's page asks", from("Sec-Fetch-Site: cross-site\r\n"), plain(vary))
	f("another PBX's page asks", from("Sec-Fetch-Site: same-site\r\n"), plain(vary))
	f("nobody says whose page asks", from(""), plain(vary))
	f("the browser does not want it", strings.Replace(ask, "gzip, deflate, br", "gzip;q=0, br", 1), plain(vary))
	f("a part is asked for", strings.Replace(ask, "Host", "Range: bytes=0-9\r\nHost", 1), plain(vary))
	f("the browser forbids it", strings.Replace(ask, "Host", "Cache-Control: no-cache, no-transform\r\nHost", 1), plain(vary))
	f("HEAD", strings.Replace(ask, "GET", "HEAD", 1), strings.TrimSuffix(plain(vary), page))
	f("PUT", strings.Replace(ask, "GET", "PUT", 1), plain(vary))
	f("not modified", ask, "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nContent-Length: 5200\r\nContent-Type: text/html\r\n\r\n")
	f("no content", ask, "HTTP/1.1 204 No Content\r\n\r\n")
	f("a part", ask, strings.Replace(plain("Content-Range: bytes 0-5199/9000"), "200 OK", "206 Partial Content", 1))
	f("not found", ask, strings.Replace(plain(), "200 OK", "404 Not Found", 1))
	f("compressed already", ask, plain("Content-Encoding: br"))
	f("identity, in so many words", ask, plain("Content-Encoding: identity"))
	f("the portal forbids it", ask, plain("Cache-Control: max-age=60, no-transform"))
	f("signed", ask, plain("Content-Digest: sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"))
	f("of one connection", ask, plain("Connection: X-Hop, keep-alive", "X-Hop: 1"))
	f("small", ask, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1023\r\n\r\n"+page[:1023])
	f("small, in chunks", ask, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"+chunked(page[:1023], ""))
	f("empty", ask, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n")
	for _, kind := range []string{"image/png", "audio/wav", "video/mp4", "application/zip", "application/octet-stream", "text/event-stream", "multipart/x-mixed-replace; boundary=x", "font/woff2", "application/x-ndjson", ""} {
		f(kind, ask, strings.Replace(plain(), "text/html; charset=utf-8", kind, 1))
		f(kind+" in chunks", ask, "HTTP/1.1 200 OK\r\nContent-Type: "+kind+"\r\nTransfer-Encoding: chunked\r\n\r\n"+chunked(page, "A: b\r\n"))
	}
	f("of two types", ask, plain("Content-Type: text/plain"))
	f("of none", ask, strings.Replace(plain(), "Content-Type", "X-Type", 1))
	for _, kind := range []string{"text/css", "TEXT/HTML", "application/manifest+json", "image/svg+xml", "application/wasm", "font/ttf"} {
		w := newWorld(t, coder(), ask)
		if err := w.say(strings.Replace(plain(), "text/html", kind, 1)); err != nil || w.s.out.Len() > len(page)/2 {
			t.Errorf("%s: %d bytes, %v", kind, w.s.out.Len(), err)
		}
	}
}

// What cannot be read in one way only is passed on, and all that comes after.
func TestBlind(t *testing.T) {
	f := func(what, requests, answers string) {
		t.Helper()
		w := newWorld(t, coder(), requests)
		if err := w.say(answers + plain()); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if err := w.say(plain()); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if out, want := w.s.out.String(), answers+plain()+plain(); out != want {
			t.Errorf("%s: it became %.300q", what, out)
		}
	}
	two := ask + ask
	f("two lengths", two, strings.Replace(plain(), "Content-Length: 5200", "Content-Length: 5200\r\nContent-Length: 5200", 1))
	f("a length and chunks", two, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n"+chunked(page, ""))
	f("chunks of gzip", two, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"+chunked(page, ""))
	f("chunks of HTTP/1.0", two, "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"+chunked(page, ""))
	f("a signed length", two, strings.Replace(plain(), "Length: 5", "Length: +5", 1))
	f("a folded line", two, plain("X-Long: a", " b"))
	f("no colon", two, plain("X-Long"))
	f("a space before the colon", two, plain("X-Long : 1"))
	f("a NUL", two, plain("X-Long: \x00"))
	f("a bare CR", two, plain("X-Long: a\rb"))
	f("HTTP/2", two, strings.Replace(plain(), "HTTP/1.1", "HTTP/2.0", 1))
	f("a status of four digits", two, strings.Replace(plain(), "200", "2000", 1))
	f("an empty line first", two, "\r\n"+plain())
	f("no HTTP", two, "SSH-2.0-dropbear\r\n")
	f("a body of 205", two, strings.Replace(plain(), "200 OK", "205 Reset", 1))
	f("an upgrade", two, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	f("asked to upgrade, and refused", strings.Replace(ask, "Host", "Upgrade: websocket\r\nConnection: Upgrade\r\nHost", 1)+ask, plain())
	f("a head without end", two, "HTTP/1.1 200 OK\r\nX-Long: "+strings.Repeat("x", coding.MaxHeadForTest)+"\r\n\r\n")
	f("too many fields", two, plain(strings.Split(strings.Repeat("A: b\n", 300)+"A: b", "\n")...))
	f("a bad chunk of what passes", two, "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX")
	f("nobody asked", "", "")
	for what, r := range map[string]string{
		"HTTP/1.0":           strings.Replace(ask, "HTTP/1.1", "HTTP/1.0", 1),
		"two lengths":        strings.Replace(ask, "Host", "Content-Length: 0\r\nContent-Length: 0\r\nHost", 1),
		"a length and more":  strings.Replace(ask, "Host", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\nHost", 1),
		"TRACE":              strings.Replace(ask, "GET", "TRACE", 1),
		"a tab for a space":  strings.Replace(ask, "GET ", "GET\t", 1),
		"a line without end": "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", coding.MaxHeadForTest),
	} {
		f("asked in "+what, r+ask, "")
	}
	f("too many asked", strings.Repeat(ask, coding.MaxAskedForTest+1), strings.Repeat("HTTP/1.1 204 No Content\r\n\r\n", coding.MaxAskedForTest-1))
}

// A break stays a break: no answer is completed that the portal did not.
func TestBreaks(t *testing.T) {
	f := func(what, answer string, errs bool) {
		t.Helper()
		w := newWorld(t, coder(), ask+ask)
		err := w.say(answer)
		if (err != nil) != errs {
			t.Errorf("%s: %v", what, err)
		}
		if err := w.Finish(); (err != nil) != errs {
			t.Errorf("%s: finishing: %v", what, err)
		}
		if got, _ := look(w.s.out.Bytes(), "GET", false); len(got) > 1 || len(got) == 1 && !got[0].cut {
			t.Errorf("%s: the browser sees %+v", what, got)
		}
		if errs {
			if err := w.say(plain()); err == nil {
				t.Errorf("%s: the next answer was taken", what)
			}
		}
		w.Close()
	}
	f("in the middle of a body", plain()[:3000], false)
	f("in the middle of chunks", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"+chunked(page, "")[:3000], false)
	f("before the last chunk", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"+strings.TrimSuffix(chunked(page, ""), "0\r\n\r\n"), false)
	f("in the middle of trailers", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"+chunked(page, "A: b\r\nC"), false)
	f("a malformed chunk", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"+strings.TrimSuffix(chunked(page, ""), "0\r\n\r\n")+"5\r\nhelloX\r\n", true)
	f("trailers without end", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"+chunked(page, strings.Repeat("A: b\r\n", 2000)), true)
	f("in the middle of a head", "HTTP/1.1 200 OK\r\nContent-Ty", false)
}

package pbxsim

import (
	"io"
	"net/http"
	"strings"
	"time"
)

const rawWrite = 30 * time.Second

// garbage is what /test/garbage answers in place of HTTP.
var garbage = map[string]func() string{
	"binary": func() string { return "\x16\x03\x01\x00\xff\x00\x80\xfe nothing of HTTP\r\n\r\n" },
	"status": func() string { return "HTTP/1.1 2OO Fine\r\nContent-Length: 2\r\n\r\nok" },
	"header": func() string { return "HTTP/1.1 200 OK\r\nno colon here\r\n: no name\r\nContent-Length: 2\r\n\r\nok" },
	"nul":    func() string { return "HTTP/1.1 200 OK\r\nX-Nul: a\x00b\r\nContent-Length: 2\r\n\r\nok" },
	"huge": func() string {
		return "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Filler: "+strings.Repeat("f", 1000)+"\r\n", 1024) + "Content-Length: 2\r\n\r\nok"
	},
	"chunk": func() string {
		return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\nworld\r\n0\r\n\r\n"
	},
	"short":   func() string { return "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nends here" },
	"lengths": func() string { return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok?" },
	"smuggle": func() string {
		return "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nnext!"
	},
}

func (p *Portal) testGarbage(w http.ResponseWriter, r *http.Request) {
	kind := r.URL.Query().Get("kind")
	if kind == "" {
		kind = "binary"
	}
	text, ok := garbage[kind]
	if !ok {
		http.Error(w, "kind is binary, status, header, nul, huge, chunk, short, lengths or smuggle.", http.StatusBadRequest)
		return
	}
	raw(w, text())
}

// raw answers with text, whatever it is, and closes.
func raw(w http.ResponseWriter, text string) {
	c, ok := hijack(w)
	if !ok {
		return
	}
	defer c.Close()
	if c.SetDeadline(time.Now().Add(rawWrite)) == nil {
		_, _ = io.WriteString(c, text)
	}
}

func (p *Portal) testReset(w http.ResponseWriter, r *http.Request) {
	sent := map[string]string{
		"start":   "",
		"headers": "HTTP/1.1 200 OK\r\nContent-Type: text/pl",
		"body":    "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf of the ",
	}
	at := r.URL.Query().Get("at")
	if at == "" {
		at = "headers"
	}
	text, ok := sent[at]
	if !ok {
		http.Error(w, "at is start, headers or body.", http.StatusBadRequest)
		return
	}
	c, ok := hijack(w)
	if !ok {
		return
	}
	defer reset(c)
	if text == "" {
		return
	}
	if _, err := io.WriteString(c, text); err == nil {
		// A RST makes the peer drop what it has not read yet: let it read.
		_ = p.wait(r, 50*time.Millisecond)
	}
}

func (p *Portal) testHTTP10(w http.ResponseWriter, _ *http.Request) {
	raw(w, "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nthis body ends with the connection\n")
}

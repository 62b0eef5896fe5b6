// Package portal is the PBX's web server of the benchmarks: the cheapest that will
// do, for it shares the machine's cores with what is measured. It is no HTTP
// server for anybody else.
package portal

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// It speaks just enough HTTP/1.1 for proxies, who are its only clients:
//
//	GET /1kb, /64kb      constant bodies
//	GET /bytes?n=N       N bytes
//	POST /upload         discards the body; answers how long it was
//	GET /ws              a WebSocket that echoes

var (
	// Filler is what bodies are made of. Nobody writes to it.
	Filler  = bytes.Repeat([]byte("0123456789abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ\n"), 4<<10) // 256 KiB
	fixed1k = append(head(1<<10), Filler[:1<<10]...)
	fixed64 = append(head(64<<10), Filler[:64<<10]...)
)

func head(length int64) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", length)
}

// Serve accepts until ln is closed.
func Serve(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go ServeConn(c)
	}
}

// ServeConn answers requests until either side ends. It owns c.
func ServeConn(c net.Conn) {
	defer c.Close()
	r := bufio.NewReaderSize(c, 64<<10)
	for {
		q, err := readRequest(r)
		if err != nil {
			return // mostly the client's going
		}
		if err := q.answer(c, r); err != nil {
			return
		}
	}
}

type request struct {
	method, target string
	length         int64  // of the body
	key            string // of a WebSocket
}

var errRequest = errors.New("portal: not a request that this server knows")

func readRequest(r *bufio.Reader) (q request, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return q, err
	}
	method, rest, _ := bytes.Cut(line, []byte(" "))
	target, _, ok := bytes.Cut(rest, []byte(" "))
	if !ok {
		return q, errRequest
	}
	q.method, q.target = string(method), string(target)
	for {
		if line, err = r.ReadSlice('\n'); err != nil {
			return q, err
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return q, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			return q, errRequest
		case bytes.EqualFold(name, []byte("Content-Length")):
			if q.length, err = strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64); err != nil || q.length < 0 {
				return q, errRequest
			}
		case bytes.EqualFold(name, []byte("Sec-WebSocket-Key")):
			q.key = string(bytes.TrimSpace(value))
		}
	}
}

func (q request) answer(c io.Writer, body *bufio.Reader) error {
	switch {
	case q.target == "/1kb":
		return write(c, fixed1k)
	case q.target == "/64kb":
		return write(c, fixed64)
	case strings.HasPrefix(q.target, "/bytes?n="):
		n, err := strconv.ParseInt(strings.TrimPrefix(q.target, "/bytes?n="), 10, 64)
		if err != nil || n < 0 {
			return errRequest
		}
		if err := write(c, head(n)); err != nil {
			return err
		}
		for ; n > 0; n -= int64(len(Filler)) {
			if err := write(c, Filler[:min(n, int64(len(Filler)))]); err != nil {
				return err
			}
		}
		return nil
	case q.target == "/ws" && q.key != "":
		return echoFrames(c, body, q.key)
	case q.method == "POST" && q.target == "/upload":
		n, err := io.CopyN(io.Discard, body, q.length)
		if err != nil {
			return err
		}
		text := strconv.FormatInt(n, 10)
		return write(c, append(head(int64(len(text))), text...))
	}
	return write(c, []byte("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
}

func write(w io.Writer, b []byte) error {
	_, err := w.Write(b)
	return err
}

// TLS is the same portal as nginx reaches it. Records are full from the
// first: Go's small ones at a connection's start would make nginx look worse.
func TLS(ln net.Listener, cert tls.Certificate) net.Listener {
	return tls.NewListener(ln, &tls.Config{
		Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, DynamicRecordSizingDisabled: true,
	})
}

package relay_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// recorder is a portal that keeps every byte it gets, and answers what is a
// request by the strictest reading of HTTP/1.1.
type recorder struct {
	url string

	mu    sync.Mutex
	got   [][]byte // by connection
	lines []string // request lines, in order
	wrong []string // what a strict reader must not see
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{url: "http://" + ln.Addr().String()}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			wg.Go(func() { r.serve(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return r
}

func (r *recorder) serve(c net.Conn) {
	defer c.Close()
	var raw bytes.Buffer
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, raw.Bytes())
	}()
	in := bufio.NewReader(io.TeeReader(c, &raw))
	head, err := readHead(in)
	if err != nil {
		if !errors.Is(err, io.EOF) {
			r.note("", "head: "+err.Error())
		}
		return
	}
	line, complaint := strictly(head)
	r.note(line, complaint)
	if complaint != "" {
		return
	}
	req, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(head), in)))
	if err != nil {
		r.note("", "net/http: "+err.Error())
		return
	}
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return // the browser's body was broken, and so is this one
	}
	io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
}

// readHead reads up to the first empty line.
func readHead(r *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		b.WriteString(line)
		if err != nil {
			if b.Len() > 0 && errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
		if line == "\r\n" || line == "\n" {
			return b.String(), nil
		}
	}
}

// strictly finds what two readers could understand differently.
func strictly(head string) (line, complaint string) {
	line, fields, _ := strings.Cut(head, "\r\n")
	if strings.Count(line, " ") != 2 || !strings.HasSuffix(line, " HTTP/1.1") {
		return line, fmt.Sprintf("request line %q", line)
	}
	framing, hosts := 0, 0
	for f := range strings.SplitSeq(strings.TrimSuffix(fields, "\r\n\r\n"), "\r\n") {
		name, value, ok := strings.Cut(f, ":")
		switch {
		case !ok, strings.ContainsAny(name, " \t"), strings.ContainsAny(f, "\r\n\x00"):
			return line, fmt.Sprintf("field %q", f)
		case strings.EqualFold(name, "Host"):
			hosts++
		case strings.EqualFold(name, "Content-Length"):
			framing++
			if strings.Trim(value, "0123456789") != " " {
				return line, fmt.Sprintf("length %q", value)
			}
		case strings.EqualFold(name, "Transfer-Encoding"):
			framing++
			if value != " chunked" {
				return line, fmt.Sprintf("coding %q", value)
			}
		}
	}
	if framing > 1 || hosts != 1 {
		return line, fmt.Sprintf("%d framings, %d hosts in %q", framing, hosts, head)
	}
	return line, ""
}

func (r *recorder) note(line, complaint string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if line != "" {
		r.lines = append(r.lines, line)
	}
	if complaint != "" {
		r.wrong = append(r.wrong, complaint)
	}
}

func (r *recorder) take() (lines, wrong []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines, wrong, r.lines, r.wrong = r.lines, r.wrong, nil, nil
	return lines, wrong
}

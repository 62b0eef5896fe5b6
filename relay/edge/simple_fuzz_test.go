package edge

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"
)

// What a loop reads as a simple request is one for net/http too: the same
// target, the same host, no body, and nothing behind it.
func FuzzSimple(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: pbx-one.sites.test\r\n\r\n", "GET /a?b=c%20d HTTP/1.1\r\nHost: pbx-one.sites.test\r\nCookie: a=b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: pbx-one.sites.test\r\nContent-Length: 0\r\n\r\n", "GET / HTTP/1.1\nHost: pbx-one.sites.test\n\n",
		"GET / HTTP/1.0\r\nHost: pbx-one.sites.test\r\n\r\n", "GET / HTTP/1.1\r\nHost: pbx-one.sites.test\r\n\r\nGET / HTTP/1.1\r\n\r\n",
		"GET  / HTTP/1.1\r\nHost: pbx-one.sites.test\r\n\r\n", "GET http://pbx-one.sites.test/ HTTP/1.1\r\nHost: pbx-one.sites.test\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: pbx-one.sites.test\r\n Folded: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: pbx-one.sites.test\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	e := &Edge{zone: ".sites.test"}
	f.Fuzz(func(t *testing.T, b []byte) {
		x := &exchange{e: e, c: new(conn)}
		if !x.isSimple(b) {
			return
		}
		// What its escapes mean is for the portal, while net/http refuses wrong ones.
		line, _, _ := bytes.Cut(b, []byte("\r\n"))
		b = append(unescaped(line), b[len(line):]...)
		target := string(unescaped(x.req.target))
		r := bufio.NewReader(bytes.NewReader(b))
		req, err := http.ReadRequest(r)
		if err != nil {
			t.Fatalf("net/http: %v", err)
		}
		if left, _ := io.ReadAll(r); req.Method != "GET" || req.RequestURI != target || req.Host != string(x.req.host) || req.ContentLength != 0 || len(req.TransferEncoding) > 0 || len(left) > 0 {
			t.Errorf("net/http reads %s %q of %q, %d and %v, and %q behind it", req.Method, req.RequestURI, req.Host, req.ContentLength, req.TransferEncoding, left)
		}
	})
}

func unescaped(b []byte) []byte { return bytes.ReplaceAll(b, []byte("%"), []byte("-")) }

package portal

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"strings"
	"testing"
)

// A body of unknown length is none that the portal could count.
func TestChunkedUpload(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go Serve(ln)
	resp, err := http.Post("http://"+ln.Addr().String()+"/upload", "text/plain", struct{ *strings.Reader }{strings.NewReader("chunked")})
	if err == nil {
		resp.Body.Close()
		t.Error("it was taken")
	}
}

func TestAcceptKey(t *testing.T) {
	if got := acceptKey("dGhlIHNhbXBsZSBub25jZQ=="); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" { // RFC 6455, 1.3
		t.Errorf("accept key %q", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("GET /1kb HTTP/1.1\r\nContent-Length: 5\r\n\r\n"))
	f.Add([]byte{FrameText, Masked | 2, 1, 2, 3, 4, 'a', 'b'})
	f.Fuzz(func(t *testing.T, b []byte) {
		if q, err := readRequest(bufio.NewReader(bytes.NewReader(b))); err == nil && q.length < 0 {
			t.Errorf("request: %+v", q)
		}
		if kind, payload, err := ReadFrame(bufio.NewReader(bytes.NewReader(b)), nil); err == nil {
			again, got, err := ReadFrame(bufio.NewReader(bytes.NewReader(AppendFrame(nil, kind, Masked, payload))), nil)
			if err != nil || again != kind || !bytes.Equal(got, payload) {
				t.Errorf("frame %x: %v", b, err)
			}
		}
	})
}

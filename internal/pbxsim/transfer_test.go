package pbxsim_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"trunkline/internal/pbxsim"
)

func sum(b string) string {
	s := sha256.Sum256([]byte(b))
	return hex.EncodeToString(s[:])
}

func TestRecordingDownload(t *testing.T) {
	v := visit(t, start(t, pbxsim.Config{}))
	res, _ := v.get("/recordings/7/download")
	status(t, res, http.StatusUnauthorized)
	v.signIn("root", "super secret")

	res, whole := v.get("/recordings/7/download")
	status(t, res, 200)
	if res.ContentLength != 8<<20 || res.Header.Get("Accept-Ranges") != "bytes" || len(whole) != 8<<20 {
		t.Errorf("%d bytes of %d, %v", len(whole), res.ContentLength, res.Header)
	}
	has(t, "disposition", res.Header.Get("Content-Disposition"), `filename="recording-0007.wav"`)
	if sum(whole) != pbxsim.RecordingSHA256(7, 8<<20) {
		t.Error("the bytes are not those RecordingSHA256 names")
	}
	if pbxsim.RecordingSHA256(8, 8<<20) == pbxsim.RecordingSHA256(7, 8<<20) {
		t.Error("two recordings are the same")
	}

	// A range, across where the block repeats.
	res, part := v.get("/recordings/7/download", "Range", "bytes=1048000-1049000")
	status(t, res, http.StatusPartialContent)
	if part != whole[1048000:1049001] {
		t.Error("the range is not that part of the whole")
	}
	tag := res.Header.Get("ETag")
	res, _ = v.get("/recordings/7/download", "Range", "bytes=5-9", "If-Range", tag)
	status(t, res, http.StatusPartialContent)
	res, _ = v.get("/recordings/7/download?size=100", "Range", "bytes=5-9", "If-Range", tag) // it is another file now
	status(t, res, 200)
	res, _ = v.get("/recordings/7/download", "Range", "bytes=9000000-")
	status(t, res, http.StatusRequestedRangeNotSatisfiable)
	res, _ = v.get("/recordings/7/download", "If-None-Match", tag)
	status(t, res, http.StatusNotModified)

	// Several ranges in one answer.
	res, body := v.get("/recordings/7/download", "Range", "bytes=0-9,-10")
	status(t, res, http.StatusPartialContent)
	_, params, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(strings.NewReader(body), params["boundary"])
	for _, want := range []string{whole[:10], whole[len(whole)-10:]} {
		p, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(p); string(b) != want {
			t.Errorf("part %q, want %q", b, want)
		}
	}

	for _, size := range []string{"-1", "2147483649", "x"} {
		res, _ = v.get("/recordings/7/download?size=" + size)
		status(t, res, http.StatusBadRequest)
	}
	res, _ = v.do(v.request("HEAD", "/recordings/7/download?size=2147483648", ""))
	if res.ContentLength != 2<<30 {
		t.Errorf("2 GiB has Content-Length %d", res.ContentLength)
	}
}

func TestRecordingStreamHasNoLength(t *testing.T) {
	v := visit(t, start(t, pbxsim.Config{}))
	v.signIn("root", "super secret")
	for _, size := range []int64{0, 10, 3 << 20} {
		res, body := v.get(fmt.Sprintf("/recordings/2/stream?size=%d", size))
		if res.ContentLength != -1 {
			t.Errorf("size %d: Content-Length %d", size, res.ContentLength)
		}
		if sum(body) != pbxsim.RecordingSHA256(2, size) {
			t.Errorf("size %d: %d other bytes", size, len(body))
		}
	}
}

func TestBytesWithoutASession(t *testing.T) {
	v := visit(t, start(t, pbxsim.Config{}))
	res, body := v.get("/test/bytes?n=3&size=100000")
	status(t, res, 200)
	if sum(body) != pbxsim.RecordingSHA256(3, 100000) {
		t.Error("other bytes than recording 3's")
	}
}

func firmwareForm(token string, file []byte, fields ...string) (body *bytes.Buffer, kind string) {
	body = new(bytes.Buffer)
	m := multipart.NewWriter(body)
	for _, f := range fields {
		if f == "csrf" {
			_ = m.WriteField("csrf", token)
			continue
		}
		w, _ := m.CreateFormFile(f, "image.bin")
		_, _ = w.Write(file)
	}
	_ = m.Close()
	return body, m.FormDataContentType()
}

func TestFirmwareUpload(t *testing.T) {
	p := start(t, pbxsim.Config{})
	v := visit(t, p)
	file := bytes.Repeat([]byte("firmware image "), 300_000)
	want := pbxsim.Upload{Bytes: int64(len(file)), SHA256: sum(string(file))}
	up := func(body io.Reader, headers ...string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequest("POST", v.base+"/maintenance/firmware", body)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return v.do(r)
	}
	f := func(res *http.Response, body string) {
		t.Helper()
		status(t, res, 200)
		var got pbxsim.Upload
		if err := json.Unmarshal([]byte(body), &got); err != nil || got != want {
			t.Errorf("answer %q, want %+v", body, want)
		}
	}

	res, _ := up(strings.NewReader("x"))
	status(t, res, http.StatusUnauthorized)
	_, page := v.signIn("root", "super secret")
	tok := token(t, page)

	body, kind := firmwareForm(tok, file, "csrf", "firmware")
	f(up(body, "Content-Type", kind, "Origin", v.base))
	f(up(bytes.NewReader(file), "Content-Type", "application/octet-stream", "X-CSRF-Token", tok))
	f(up(struct{ io.Reader }{bytes.NewReader(file)}, "Content-Type", "application/octet-stream", "X-CSRF-Token", tok)) // chunked

	last := p.Operations()[len(p.Operations())-1]
	has(t, "operation", last.What, fmt.Sprintf("%d bytes", len(file)), want.SHA256[:12])

	// No token, a wrong one, one that comes after the file; no file.
	res, _ = up(strings.NewReader("image"), "Content-Type", "application/octet-stream")
	status(t, res, http.StatusForbidden)
	body, kind = firmwareForm("forged", []byte("image"), "csrf", "firmware")
	res, _ = up(body, "Content-Type", kind)
	status(t, res, http.StatusForbidden)
	body, kind = firmwareForm(tok, []byte("image"), "firmware", "csrf")
	res, _ = up(body, "Content-Type", kind)
	status(t, res, http.StatusForbidden)
	body, kind = firmwareForm(tok, []byte("image"), "csrf", "other")
	res, _ = up(body, "Content-Type", kind)
	status(t, res, http.StatusBadRequest)
	res, _ = up(strings.NewReader("--b\r\ngarbage"), "Content-Type", "multipart/form-data; boundary=b")
	status(t, res, http.StatusForbidden)
}

func TestUploadWithoutASession(t *testing.T) {
	v := visit(t, start(t, pbxsim.Config{}))
	_, body := v.do(v.request("POST", "/test/upload", "some bytes"))
	has(t, "answer", body, `"bytes":10`, sum("some bytes"))
	_, body = v.do(v.request("POST", "/test/upload?hash=0", "some bytes"))
	has(t, "answer", body, `"bytes":10`, `"sha256":""`)
}

// dial opens a connection and writes text: what net/http's client would hide.
func dial(t *testing.T, p *pbxsim.Portal, text string) (net.Conn, *bufio.Reader) {
	t.Helper()
	u, err := url.Parse(p.URL())
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, strings.ReplaceAll(text, "HOST", u.Host)); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

func TestExpectContinue(t *testing.T) {
	p := start(t, pbxsim.Config{})
	const head = " HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"

	c, r := dial(t, p, "POST /test/upload"+head)
	if line, err := r.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("answer %q, %v", line, err)
	}
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	_, _ = r.ReadString('\n')
	if line, err := r.ReadString('\n'); err != nil || line != "HTTP/1.1 200 OK\r\n" {
		t.Errorf("answer %q, %v", line, err)
	}

	_, r = dial(t, p, "POST /maintenance/firmware"+head) // refused without asking for the body
	if line, err := r.ReadString('\n'); err != nil || line != "HTTP/1.1 401 Unauthorized\r\n" {
		t.Errorf("answer %q, %v", line, err)
	}
}

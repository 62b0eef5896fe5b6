package pbxsim

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	maxWait   = 10 * time.Minute
	maxEchoed = 1 << 20 // of a request's body that /test/headers reads
)

// number reads a bounded query parameter; out of bounds is answered here.
func number(w http.ResponseWriter, r *http.Request, name string, unset, low, high int) (int, bool) {
	s := r.URL.Query().Get(name)
	if s == "" {
		return unset, true
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < low || n > high {
		http.Error(w, fmt.Sprintf("%s is a number from %d to %d.", name, low, high), http.StatusBadRequest)
		return 0, false
	}
	return n, true
}

func (p *Portal) testSlow(w http.ResponseWriter, r *http.Request) {
	ms, ok := number(w, r, "ms", 1000, 0, int(maxWait/time.Millisecond))
	if !ok {
		return
	}
	p.waitOrAbort(r, time.Duration(ms)*time.Millisecond)
	_, _ = io.WriteString(w, "slow\n")
}

func (p *Portal) testDrip(w http.ResponseWriter, r *http.Request) {
	n, ok1 := number(w, r, "n", 10, 0, 100000)
	ms, ok2 := number(w, r, "ms", 100, 0, 60000)
	if !ok1 || !ok2 {
		return
	}
	const piece = "drip %05d\n"
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if r.URL.Query().Get("length") == "1" {
		w.Header().Set("Content-Length", strconv.Itoa(n*len(fmt.Sprintf(piece, 0))))
	}
	rc := http.NewResponseController(w)
	for i := range n {
		if _, err := fmt.Fprintf(w, piece, i); err != nil || rc.Flush() != nil {
			return
		}
		p.waitOrAbort(r, time.Duration(ms)*time.Millisecond)
	}
}

// waitOrAbort cuts the answer off when the wait ends early: a short answer
// must not look like a whole one.
func (p *Portal) waitOrAbort(r *http.Request, d time.Duration) {
	if p.wait(r, d) != nil {
		panic(http.ErrAbortHandler)
	}
}

// Received is the answer of /test/headers: a request as it reached the portal.
type Received struct {
	Method           string              `json:"method"`
	Target           string              `json:"target"`
	Proto            string              `json:"proto"`
	Host             string              `json:"host"`
	Remote           string              `json:"remote"`
	TLS              bool                `json:"tls"`
	ContentLength    int64               `json:"content_length"`
	TransferEncoding []string            `json:"transfer_encoding,omitempty"`
	Headers          map[string][]string `json:"headers"`
	Trailers         map[string][]string `json:"trailers,omitempty"`
	BodyBytes        int64               `json:"body_bytes"`
	BodySHA256       string              `json:"body_sha256"`
}

func (p *Portal) testHeaders(w http.ResponseWriter, r *http.Request) {
	h := sha256.New()
	n, err := io.Copy(h, http.MaxBytesReader(w, r.Body, maxEchoed))
	if err != nil {
		http.Error(w, "The body could not be read, or is over 1 MiB.", http.StatusBadRequest)
		return
	}
	writeJSON(w, http.StatusOK, Received{
		Method: r.Method, Target: r.RequestURI, Proto: r.Proto, Host: r.Host, Remote: r.RemoteAddr, TLS: r.TLS != nil,
		ContentLength: r.ContentLength, TransferEncoding: r.TransferEncoding, Headers: r.Header, Trailers: r.Trailer,
		BodyBytes: n, BodySHA256: hex.EncodeToString(h.Sum(nil)),
	})
}

func pieces(w http.ResponseWriter, r *http.Request) (n, size int, ok bool) {
	n, ok1 := number(w, r, "n", 16, 0, 65536)
	if !ok1 {
		return 0, 0, false
	}
	size, ok2 := number(w, r, "size", 1024, 1, 1<<20)
	return n, size, ok2
}

func (p *Portal) testChunked(w http.ResponseWriter, r *http.Request) {
	n, size, ok := pieces(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	rc := http.NewResponseController(w)
	for range n {
		if _, err := w.Write(block()[:min(size, blockSize)]); err != nil || rc.Flush() != nil {
			return
		}
	}
}

func (p *Portal) testLength(w http.ResponseWriter, r *http.Request) {
	n, size, ok := pieces(w, r)
	if !ok {
		return
	}
	size = min(size, blockSize)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(n*size))
	for range n {
		if _, err := w.Write(block()[:size]); err != nil {
			return
		}
	}
}

func (p *Portal) testTrailers(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Trailer", "X-Body-Sha256, X-Body-Bytes")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	body := "the sum of this body follows it\n"
	sum := sha256.Sum256([]byte(body))
	_, _ = io.WriteString(w, body)
	w.Header().Set("X-Body-Sha256", hex.EncodeToString(sum[:]))
	w.Header().Set("X-Body-Bytes", strconv.Itoa(len(body)))
}

func (p *Portal) testRedirect(w http.ResponseWriter, r *http.Request) {
	code, ok := number(w, r, "code", http.StatusFound, 300, 308)
	if !ok {
		return
	}
	const path = "/test/headers"
	lan := p.cfg.AbsoluteHost
	if lan == "" {
		lan = "192.168.5.150"
		if len(p.cfg.Hosts) > 0 {
			lan = p.cfg.Hosts[0]
		}
	}
	own := p.listener.Addr().String()
	to := map[string]string{
		"absolute":  p.absolute(r, path+"?via=absolute#part"),
		"relative":  "headers?via=relative",
		"path":      path + "?via=path",
		"scheme":    "//" + r.Host + path,
		"lan":       p.scheme + "://" + lan + path,
		"https":     "https://" + own + path,
		"http":      "http://" + own + path,
		"upper":     strings.ToUpper(p.scheme+"://"+r.Host) + path,
		"root":      p.scheme + "://" + r.Host, // no path at all
		"elsewhere": "https://example.com/outside?next=" + p.scheme + "://" + r.Host + "/",
		"login":     p.absolute(r, "/login"),
	}[r.URL.Query().Get("to")]
	if to == "" {
		http.Error(w, "to is absolute, relative, path, scheme, lan, https, http, upper, root, elsewhere or login.", http.StatusBadRequest)
		return
	}
	w.Header()["Location"] = []string{to} // http.Redirect would resolve the relative ones
	w.WriteHeader(code)
}

func (p *Portal) testCookies(w http.ResponseWriter, r *http.Request) {
	host := hostName(r.Host)
	far := time.Now().AddDate(1, 0, 0).UTC().Format(http.TimeFormat)
	for _, c := range []string{
		"host_only=1",
		"with_path=1; Path=/test",
		"with_domain=1; Domain=" + host + "; Path=/",
		"dot_domain=1; Domain=." + host + "; Path=/test/",
		"lan_domain=1; Domain=192.168.5.150; Path=/",
		"other_domain=1; Domain=example.com; Path=/",
		"secure=1; Path=/; Secure",
		"strict=1; Path=/; SameSite=Strict; HttpOnly",
		"lax=1; Path=/; samesite=lax",
		"none=1; Path=/; Secure; SameSite=None; Partitioned",
		"expires=1; Path=/; Expires=" + far + "; Max-Age=31536000",
		"gone=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0",
		`quoted="a b,c"; Path=/`,
		"__Host-own=1; Path=/; Secure",
		"odd=a=b=c; path=/;;Unknown=x; ",
	} {
		w.Header().Add("Set-Cookie", c)
	}
	writeJSON(w, http.StatusOK, map[string][]string{"received": r.Header["Cookie"]})
}

func (p *Portal) testStatus(w http.ResponseWriter, r *http.Request) {
	code, err := strconv.Atoi(r.PathValue("code"))
	if err != nil || code < 200 || code > 599 {
		http.Error(w, "The code is a number from 200 to 599.", http.StatusBadRequest)
		return
	}
	w.WriteHeader(code)
	if code != http.StatusNoContent && code != http.StatusNotModified {
		_, _ = fmt.Fprintf(w, "status %d\n", code)
	}
}

func (p *Portal) test304(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("ETag", `"unchanged"`)
	w.WriteHeader(http.StatusNotModified)
}

func (p *Portal) testEarlyHints(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Link", "</assets/css/base.css>; rel=preload; as=style")
	w.WriteHeader(http.StatusEarlyHints)
	_, _ = io.WriteString(w, "after the hints\n")
}

func (p *Portal) testHang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, maxEchoed)) // a leaving client is noticed behind the body only
	if p.wait(r, maxWait) == nil {
		panic(http.ErrAbortHandler) // not even an empty answer
	}
}

func (p *Portal) testEarly(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Connection", "close")
	http.Error(w, "The PBX takes no such file.", http.StatusRequestEntityTooLarge)
}

func (p *Portal) testClose(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Connection", "close")
	_, _ = io.WriteString(w, "and goodbye\n")
}

// hijack takes the connection; the caller closes it.
func hijack(w http.ResponseWriter) (net.Conn, bool) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "This needs a connection of its own.", http.StatusNotImplemented)
		return nil, false
	}
	return c, true
}

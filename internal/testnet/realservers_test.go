package testnet_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"trunkline/internal/testnet"
	"trunkline/internal/visitor"
)

// nginx serves the same files over HTTP and HTTPS.
type nginx struct {
	http, https string
	root        string
	bigSHA256   string
	page        string // content of page.html
}

// One process: there is no worker to outlive a test that is killed.
const nginxConf = `
daemon off; master_process off; pid %[1]s/pid; error_log stderr warn;
events { worker_connections 256; }
http {
  access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  types { text/html html; image/x-icon ico; application/octet-stream bin; }
  sendfile on; keepalive_timeout 65; gzip on; gzip_min_length 100; absolute_redirect on;
  client_max_body_size 8m;
  server {
    listen %[2]s; listen %[3]s ssl; server_name localhost; ssl_certificate %[1]s/crt; ssl_certificate_key %[1]s/key;
    root %[1]s/root;
    location / { autoindex on; }
    location /named { server_name_in_redirect on; autoindex on; }
    location /up/ { dav_methods PUT; }
    location = /connection { default_type text/plain; return 200 "$connection $remote_addr $http_host"; }
  }
}
`

const bigSize = 64 << 20

func startNginx(t *testing.T) *nginx {
	t.Helper()
	path, dir := need(t, "nginx"), t.TempDir()
	h, s := freeAddr(t), freeAddr(t)
	n := &nginx{http: "http://" + h, https: "https://" + s, root: filepath.Join(dir, "root")}
	n.page = "<!doctype html><title>Page</title>" + strings.Repeat("<p>A page that compresses well.</p>\n", 400)
	write(t, filepath.Join(n.root, "page.html"), n.page)
	write(t, filepath.Join(n.root, "favicon.ico"), "")
	write(t, filepath.Join(n.root, "docs/readme.html"), "<!doctype html><title>Docs</title>")
	write(t, filepath.Join(n.root, "named/readme.html"), "<!doctype html><title>Named</title>")
	write(t, filepath.Join(n.root, "up/here"), "")
	n.bigSHA256 = noise(t, filepath.Join(n.root, "big.bin"), bigSize)
	selfSigned(t, filepath.Join(dir, "crt"), filepath.Join(dir, "key"))
	conf := filepath.Join(dir, "conf")
	write(t, conf, fmt.Sprintf(nginxConf, dir, h, s))
	serve(t, n.http+"/page.html", path, "-c", conf, "-p", dir, "-e", "stderr")
	return n
}

// nginx behind the agent, over HTTP and over HTTPS with a self-signed certificate.
func TestNginx(t *testing.T) {
	n := startNginx(t)
	w := testnet.Start(t, nil)
	plain := w.Connect("NGINX001", n.http)
	secure := w.Connect("NGINX002", n.https)
	for name, p := range map[string]*testnet.PBX{"http": plain, "https": secure} {
		t.Run(name, func(t *testing.T) {
			v := p.Visit()
			t.Run("download", func(t *testing.T) { n.download(t, v) })
			t.Run("caching", func(t *testing.T) { n.caching(t, v) })
			t.Run("gzip", func(t *testing.T) { n.gzip(t, v) })
			t.Run("upload", func(t *testing.T) { n.upload(t, v) })
			t.Run("too large", func(t *testing.T) { n.tooLarge(t, v) })
			t.Run("expect", func(t *testing.T) { n.expect(t, v) })
			t.Run("redirect", func(t *testing.T) { n.redirect(t, v) })
			t.Run("keep-alive", func(t *testing.T) { n.keepAlive(t, v) })
		})
	}
	t.Run("chromium", func(t *testing.T) {
		p := person(t, startChromium(t, w))
		t.Run("http", func(t *testing.T) { n.browse(t, w, p, plain) })
		t.Run("https", func(t *testing.T) { n.browse(t, w, p, secure) })
	})
}

func (n *nginx) download(t *testing.T, v *visitor.Visitor) {
	h := sha256.New()
	resp, body := do(t, v, http.MethodGet, "/big.bin", nil, nil)
	h.Write(body)
	if got := hex.EncodeToString(h.Sum(nil)); resp.StatusCode != 200 || resp.ContentLength != bigSize || got != n.bigSHA256 {
		t.Fatalf("status %d, %d bytes, SHA-256 %s: %.300s", resp.StatusCode, resp.ContentLength, got, body)
	}
	const from, to = 40_000_000, 41_234_567
	resp, part := do(t, v, http.MethodGet, "/big.bin", nil, http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", from, to)}})
	if want := fmt.Sprintf("bytes %d-%d/%d", from, to, bigSize); resp.StatusCode != 206 || resp.Header.Get("Content-Range") != want {
		t.Errorf("status %d, Content-Range %q, not %q", resp.StatusCode, resp.Header.Get("Content-Range"), want)
	}
	if !bytes.Equal(part, body[from:to+1]) {
		t.Error("the range has other bytes")
	}
	if resp, _ = do(t, v, http.MethodGet, "/big.bin", nil, http.Header{"Range": {fmt.Sprintf("bytes=%d-", bigSize)}}); resp.StatusCode != 416 {
		t.Errorf("a range past the end: status %d", resp.StatusCode)
	}
}

func (n *nginx) caching(t *testing.T, v *visitor.Visitor) {
	resp, _ := do(t, v, http.MethodGet, "/page.html", nil, nil)
	since := http.Header{"If-Modified-Since": {resp.Header.Get("Last-Modified")}}
	if resp, body := do(t, v, http.MethodGet, "/page.html", nil, since); resp.StatusCode != 304 || len(body) != 0 {
		t.Errorf("unchanged: status %d, %d bytes", resp.StatusCode, len(body))
	}
	if resp, body := do(t, v, http.MethodHead, "/page.html", nil, nil); resp.StatusCode != 200 || resp.ContentLength != int64(len(n.page)) || len(body) != 0 {
		t.Errorf("HEAD: status %d, Content-Length %d", resp.StatusCode, resp.ContentLength)
	}
}

func (n *nginx) gzip(t *testing.T, v *visitor.Visitor) {
	resp, body := do(t, v, http.MethodGet, "/page.html", nil, http.Header{"Accept-Encoding": {"gzip"}})
	if resp.Header.Get("Content-Encoding") != "gzip" || len(body) > len(n.page)/4 {
		t.Fatalf("Content-Encoding %q, %d bytes", resp.Header.Get("Content-Encoding"), len(body))
	}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(z); err != nil || string(got) != n.page {
		t.Errorf("unpacked %d bytes: %v", len(got), err)
	}
}

func (n *nginx) upload(t *testing.T, v *visitor.Visitor) {
	want := make([]byte, 5<<20)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(want) // never fails
	for name, body := range map[string]io.Reader{
		"/up/length": bytes.NewReader(want), "/up/chunked": io.MultiReader(bytes.NewReader(want)),
	} {
		if err := os.Remove(filepath.Join(n.root, name)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if resp, said := do(t, v, http.MethodPut, name, body, nil); resp.StatusCode != 201 {
			t.Errorf("PUT %s: status %d: %s", name, resp.StatusCode, said)
		}
		if resp, got := do(t, v, http.MethodGet, name, nil, nil); resp.StatusCode != 200 || !bytes.Equal(got, want) {
			t.Errorf("GET %s: status %d, %d bytes", name, resp.StatusCode, len(got))
		}
	}
}

// tooLarge is answered by nginx before it has read the body: its answer has to
// arrive whole, every time, though the sender is still sending.
func (n *nginx) tooLarge(t *testing.T, v *visitor.Visitor) {
	body := make([]byte, 9<<20)
	for i := range 6 {
		var r io.Reader = bytes.NewReader(body)
		if i%2 == 1 {
			r = io.MultiReader(r) // of unknown length: chunked
		}
		resp, said := do(t, v, http.MethodPut, "/up/large", r, nil)
		if resp.StatusCode != 413 || !strings.Contains(string(said), "<center>nginx") {
			t.Errorf("PUT %d: status %d: %s", i, resp.StatusCode, said)
		}
	}
	if resp, _ := do(t, v, http.MethodGet, "/up/large", nil, nil); resp.StatusCode != 404 {
		t.Errorf("something of it was kept: status %d", resp.StatusCode)
	}
}

// redirect: nginx names itself by address, or by the name it is configured with.
// curl waits for nginx to ask for a body, and keeps it if nginx does not.
func (n *nginx) expect(t *testing.T, v *visitor.Visitor) {
	curl, dir := need(t, "curl"), t.TempDir()
	origin, err := url.Parse(v.Origin)
	if err != nil {
		t.Fatal(err)
	}
	cookie := ""
	for _, c := range v.Jar.Cookies(origin) {
		cookie += c.Name + "=" + c.Value + "; "
	}
	f := func(protocol, name string, size int64, status string, sent int64) {
		t.Helper()
		body := filepath.Join(dir, "body")
		noise(t, body, size)
		cmd := exec.CommandContext(t.Context(), curl, "-sSk", protocol, "--expect100-timeout", "20", "-m", "30",
			"--resolve", origin.Host+":127.0.0.1", "-H", "Expect: 100-continue", "-b", cookie, "-T", body, "-o", filepath.Join(dir, "said"),
			"-w", "%{http_code} %{size_upload}", v.Origin+name)
		out, err := cmd.CombinedOutput()
		if want := fmt.Sprintf("%s %d", status, sent); err != nil || string(out) != want {
			t.Errorf("%s %s: %q, want %q: %v", protocol, name, out, want, err)
		}
	}
	for _, protocol := range []string{"--http1.1", "--http2"} {
		_ = os.Remove(filepath.Join(n.root, "up/expected")) // so that it is made anew
		f(protocol, "/up/expected", 5<<20, "201", 5<<20)
		if protocol == "--http1.1" { // curl 7.88 does not wait for the end of a refusal over HTTP/2
			f(protocol, "/up/large", 9<<20, "413", 0)
			f(protocol, "/page.html", 5<<20, "405", 0)
		}
		if got, err := os.ReadFile(filepath.Join(n.root, "up/expected")); err != nil || len(got) != 5<<20 {
			t.Errorf("nginx has %d bytes, %v", len(got), err)
		}
	}
}

func (n *nginx) redirect(t *testing.T, v *visitor.Visitor) {
	for _, path := range []string{"/docs", "/named"} {
		resp, _ := do(t, v, http.MethodGet, path, nil, nil)
		if got := resp.Header.Get("Location"); resp.StatusCode != 301 || got != v.Origin+path+"/" && got != path+"/" {
			t.Errorf("GET %s: status %d, Location %q", path, resp.StatusCode, got)
		}
	}
}

// keepAlive: one request after the other takes one connection to the portal,
// which sees its own name and a client on loopback.
func (n *nginx) keepAlive(t *testing.T, v *visitor.Visitor) {
	used := make(map[string]bool)
	for range 20 {
		_, body := do(t, v, http.MethodGet, "/connection", nil, nil)
		f := strings.Fields(string(body))
		if len(f) != 3 || f[1] != "127.0.0.1" || "http://"+f[2] != n.http && "https://"+f[2] != n.https {
			t.Fatalf("nginx sees %q", body)
		}
		used[f[0]] = true
	}
	if len(used) > 2 {
		t.Errorf("20 requests took %d connections", len(used))
	}
}

// browse is nginx's listing in Chromium, a download from it, the redirect of a
// directory, and an upload that nginx refuses while it is being sent.
func (n *nginx) browse(t *testing.T, w *testnet.World, p *tab, pbx *testnet.PBX) {
	site := p.visits(t, w, pbx)
	p.sees(`a[href="big.bin"]`)
	p.shots("nginx")
	if got := fileSHA256(t, p.download(func() { p.click(`a[href="big.bin"]`) })); got != n.bigSHA256 {
		t.Errorf("big.bin arrived as %s", got)
	}
	for _, dir := range []string{"/docs", "/named"} {
		p.open(site + dir)
		p.sees(`a[href="readme.html"]`)
		if got := read[string](p, "location.href"); got != site+dir+"/" {
			t.Errorf("%s leads to %s", dir, got)
		}
	}
	p.clean()
	const put = `fetch("/up/browser", {method: "PUT", body: new Blob([new Uint8Array(%d << 20)])}).then((r) => r.status)`
	for megabytes, want := range map[int]int{5: 201, 9: 413} {
		got, err := chromedp.Run(p.ctx, chromedp.Evaluate[int](fmt.Sprintf(put, megabytes), chromedp.EvalAwaitPromise))
		if err != nil || got != want && got != 204 {
			t.Errorf("%d MB by fetch: status %d, %v", megabytes, got, err)
		}
	}
	p.expect("413")
}

// do sends a request as a visitor and reads the answer in full.
func do(t *testing.T, v *visitor.Visitor, method, path string, body io.Reader, h http.Header) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, v.Origin+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	for name, values := range h {
		req.Header[name] = values
	}
	resp, err := v.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp, b
}

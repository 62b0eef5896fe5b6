package pbxsim_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"trunkline/internal/pbxsim"
)

var assetLink = regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`)

func TestDashboardHasManyAssets(t *testing.T) {
	v := visit(t, start(t, pbxsim.Config{Name: "Lisbon Office", Serial: "SN-TEST-1"}))
	res, page := v.signIn("root", "super secret")
	has(t, "dashboard", page, "Lisbon Office", "SN-TEST-1", `id="sse-tick"`, `id="tile-extensions"`, "Recent calls")
	csp := res.Header.Get("Content-Security-Policy")
	has(t, "policy", csp, "default-src 'self'")
	hasNot(t, "policy", csp, "unsafe")

	links := make(map[string]bool)
	for _, m := range assetLink.FindAllStringSubmatch(page, -1) {
		links[m[1]] = true
	}
	if len(links) < 55 {
		t.Errorf("the dashboard has %d assets", len(links))
	}
	for link := range links {
		res, body := v.get(link)
		status(t, res, 200)
		if body == "" || res.Header.Get("ETag") == "" || res.Header.Get("Last-Modified") == "" || res.Header.Get("Content-Type") == "" {
			t.Errorf("%s: %d bytes with %v", link, len(body), res.Header)
		}
		hasNot(t, link, body, "//fonts.")
	}
}

func TestPagesHaveNoInlineScriptOrStyle(t *testing.T) {
	v := visit(t, start(t, pbxsim.Config{}))
	v.signIn("root", "super secret")
	inline := regexp.MustCompile(`<script>|<style|\sstyle=|\son[a-z]+=|https?://`)
	for path, want := range map[string]string{
		"/": "Calls per hour", "/extensions": "amelia.novak@example.com", "/trunks": "Telco SIP A", "/calls": `id="call-monitor"`,
		"/cdr": "Page 1 of 12", "/recordings": "recording-0001.wav", "/maintenance": "Firmware upgrade", "/oplog": "Signed in",
	} {
		res, page := v.get(path)
		status(t, res, 200)
		has(t, path, page, want, "</html>")
		if m := inline.FindString(page); m != "" {
			t.Errorf("%s has %q", path, m)
		}
	}
}

func TestPaging(t *testing.T) {
	v := visit(t, start(t, pbxsim.Config{}))
	v.signIn("root", "super secret")
	for query, want := range map[string]string{
		"": "1 to 20 of 240", "?page=2": "21 to 40 of 240", "?page=12": "221 to 240 of 240",
		"?page=0": "1 to 20 of 240", "?page=-7": "1 to 20 of 240", "?page=999999": "221 to 240 of 240", "?page=x": "1 to 20 of 240",
	} {
		_, page := v.get("/cdr" + query)
		has(t, "/cdr"+query, page, want)
	}
	_, page := v.get("/extensions?q=zoe")
	has(t, "search", page, "Zoe Martin")
	hasNot(t, "search", page, "Amelia Novak")
	_, page = v.get("/extensions?q=%3Cscript%3E")
	has(t, "search", page, "No extension matches.")
	hasNot(t, "search", page, "<script>")
}

func TestUnknownPage(t *testing.T) {
	v := visit(t, start(t, pbxsim.Config{}))
	for _, path := range []string{"/nowhere", "/assets/css/none.css", "/recordings/0/download", "/assets/../web/html/layout.html"} {
		if strings.HasPrefix(path, "/recordings") {
			v.signIn("root", "super secret")
		}
		res, _ := v.get(path)
		status(t, res, http.StatusNotFound)
	}
}

func TestAssetsAreRevalidatedAndCompressed(t *testing.T) {
	v := visit(t, start(t, pbxsim.Config{}))
	const path = "/assets/css/dashboard.css"
	res, plain := v.get(path)
	tag, modified := res.Header.Get("ETag"), res.Header.Get("Last-Modified")
	if res.Header.Get("Content-Encoding") != "" {
		t.Error("compressed for one who did not ask")
	}

	res, packed := v.get(path, "Accept-Encoding", "br, gzip;q=0.8")
	if res.Header.Get("Content-Encoding") != "gzip" || res.Header.Get("Vary") != "Accept-Encoding" || res.ContentLength != int64(len(packed)) {
		t.Errorf("compressed: %v, %d bytes", res.Header, res.ContentLength)
	}
	z, err := gzip.NewReader(strings.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(z); err != nil || string(b) != plain {
		t.Errorf("unpacked to %d bytes, %v; want %d", len(b), err, len(plain))
	}
	if res.Header.Get("ETag") == tag {
		t.Error("one ETag for two representations")
	}
	for _, enc := range []string{"gzip;q=0", "br", "xgzip", "gzip; q=x"} {
		if res, _ := v.get(path, "Accept-Encoding", enc); res.Header.Get("Content-Encoding") != "" {
			t.Errorf("compressed for %q", enc)
		}
	}

	res, body := v.get(path, "If-None-Match", tag)
	status(t, res, http.StatusNotModified)
	if body != "" {
		t.Errorf("304 with %d bytes", len(body))
	}
	res, _ = v.get(path, "If-Modified-Since", modified)
	status(t, res, http.StatusNotModified)
	res, _ = v.get(path, "If-None-Match", `"other"`)
	status(t, res, 200)
	res, _ = v.do(v.request("HEAD", path, ""))
	status(t, res, 200)
	if res.ContentLength != int64(len(plain)) {
		t.Errorf("HEAD says %d bytes", res.ContentLength)
	}
}

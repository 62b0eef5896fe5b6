package console_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"trunkline/control/console"
	"trunkline/internal/fault"
)

func fleetOf(n int) *fake {
	f := newFake()
	for i := range n {
		f.devices = append(f.devices, device(i+1, fmt.Sprintf("PBX %04d", i+1)))
	}
	return f
}

var nextLink = regexp.MustCompile(`href="([^"]+)" rel="next"`)

// Walks 1,234 devices by "Next page": each is seen once, and a page costs the
// same few questions to fleet however many there are.
func TestPaging(t *testing.T) {
	f := fleetOf(1234)
	h := newConsole(t, f)
	path, seen, pages := "/?q=pbx", map[string]bool{}, 0
	for path != "" {
		f.calls = nil
		body := ask(h, "GET", path, nil).Body.String()
		if pages++; pages > 30 {
			t.Fatal("no end")
		}
		from, to := (pages-1)*50+1, min(pages*50, 1234)
		if want := fmt.Sprintf("Showing %s–%s of 1,234", console.NumberForTest(from), console.NumberForTest(to)); !strings.Contains(body, want) {
			t.Errorf("page %d lacks %q", pages, want)
		}
		for _, m := range regexp.MustCompile(`<tr id="(dev_\d+)"`).FindAllStringSubmatch(body, -1) {
			if seen[m[1]] {
				t.Errorf("%s twice", m[1])
			}
			seen[m[1]] = true
		}
		if len(f.calls) != 4 { // the session, the page, the groups, the subscription
			t.Errorf("page %d asked %v", pages, f.calls)
		}
		if hasFirst := strings.Contains(body, `rel="first"`); hasFirst != (pages > 1) {
			t.Errorf("page %d: link to the first page: %v", pages, hasFirst)
		}
		path = ""
		if m := nextLink.FindStringSubmatch(body); m != nil {
			path = strings.ReplaceAll(m[1], "&amp;", "&")
		}
	}
	if len(seen) != 1234 {
		t.Errorf("saw %d", len(seen))
	}
}

func TestBadListAddresses(t *testing.T) {
	for path, status := range map[string]int{
		"/?status=broken":                            400,
		"/?cursor=" + strings.Repeat("x", 1100):      400,
		"/audit?cursor=%00":                          400,
		"/?from=-5":                                  200,
		"/?cursor=50&from=99999999999999999999":      200,
		"/devices/dev_short":                         404,
		"/devices/dev_0000000000000999":              404,
		"/visit/UPPER":                               404,
		"/visit/pbx-nowhere":                         404,
		"/devices/dev_0000000000000001/remove/again": 404,
		"/?q=" + strings.Repeat("x", 5000):           200,
	} {
		w := ask(newConsole(t, fleetOf(60)), "GET", path, nil)
		if w.Code != status {
			t.Errorf("%.60s: %d, want %d", path, w.Code, status)
		}
		if status >= 400 && !strings.Contains(w.Body.String(), "<code>") {
			t.Errorf("%.60s: no code on the page", path)
		}
	}
}

func TestRemoveAndEnd(t *testing.T) {
	f := sample()
	h := newConsole(t, f)
	d := "/devices/" + string(deviceID(1)) + "/remove"
	if w := ask(h, "GET", d, nil); w.Code != 200 || f.count("RemoveDevice") != 0 {
		t.Errorf("the question: %d, removed %d", w.Code, f.count("RemoveDevice"))
	}
	if w := ask(h, "POST", d, nil); w.Header().Get("Location") != "/?notice=removed" || f.count("RemoveDevice") != 1 {
		t.Errorf("the deed: %d", w.Code)
	}
	if w := ask(h, "POST", "/visits/"+string(visitID(1))+"/end", nil); w.Header().Get("Location") != "/visits?notice=ended" || f.count("EndVisit") != 1 {
		t.Errorf("end: %d", w.Code)
	}
	f.fail["EndVisit"] = fault.New(fault.Forbidden, "An auditor may not end visits.")
	if w := ask(h, "POST", "/visits/"+string(visitID(1))+"/end", nil); w.Code != 403 || !strings.Contains(w.Body.String(), "An auditor may not") {
		t.Errorf("end refused: %d", w.Code)
	}
	if w := ask(h, "GET", "/sign-out", nil); w.Code != 404 || !f.live[goodToken] {
		t.Errorf("sign-out by GET: %d", w.Code)
	}
}

func TestAssets(t *testing.T) {
	h := newConsole(t, sample())
	page := ask(h, "GET", "/", nil).Body.String()
	found := regexp.MustCompile(`/assets/[a-z]+\.[0-9a-f]{12}\.(css|js|svg)`).FindAllString(page, -1)
	if len(found) < 5 {
		t.Fatalf("assets in the page: %v", found)
	}
	for _, path := range found {
		plain := ask(h, "GET", path, nil, signedOut)
		zipped := ask(h, "GET", path, nil, signedOut, header("Accept-Encoding", "br;q=1, gzip;q=0.5"))
		if plain.Code != 200 || plain.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" || plain.Header().Get("Content-Encoding") != "" {
			t.Errorf("%s: %d %v", path, plain.Code, plain.Header())
		}
		z, err := gzip.NewReader(zipped.Body)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(z); string(b) != plain.Body.String() {
			t.Errorf("%s: zipped is another file", path)
		}
		if head := ask(h, http.MethodHead, path, nil); head.Body.Len() != 0 || head.Header().Get("Content-Length") == "" {
			t.Errorf("%s: HEAD", path)
		}
	}
	for _, path := range []string{"/assets/app.css", "/assets/", "/assets/..%2fconsole.go", "/assets/app.000000000000.css"} {
		if w := ask(h, "GET", path, nil, signedOut); w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	for enc, want := range map[string]bool{"": false, "gzip": true, "gzip;q=0": false, "gzip; q=0.0": false, "*": false, "deflate, GZIP": true, "gzip;q=x": false} {
		if got := console.GzipForTest(enc); got != want {
			t.Errorf("Accept-Encoding %q: %v", enc, got)
		}
	}
}

package testnet_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"trunkline/internal/testnet"
)

var csrfMeta = regexp.MustCompile(`<meta name="csrf" content="([^"]+)">`)

// With the header adapter the agent reads every request and writes it anew: all
// that a portal does has to pass all the same.
func TestHeaderAdapterCarriesEverything(t *testing.T) {
	w := testnet.Start(t, nil)
	v := letIn(t, w, headerLogin, w.Portal(trusting)).VisitBy(passwordless)
	ask := func(method, path string, body io.Reader, headers ...string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, v.Origin+path, body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", v.Origin)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		resp, err := v.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	for path, status := range map[string]int{
		"/test/1kb": 200, "/test/chunked?n=10&size=1000": 200, "/test/length?n=10&size=1000": 200, "/test/204": 204, "/test/304": 304,
		"/test/status/418": 418, "/test/http10": 200, "/test/close": 200, "/test/early-hints": 200, "/test/trailers": 200,
	} {
		resp := ask(http.MethodGet, path, nil)
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != status {
			t.Errorf("%s: %s, %v", path, resp.Status, err)
		}
	}
	resp := ask(http.MethodGet, "/recordings/1/download?size=3000000", nil, "Range", "bytes=1000000-1999999")
	n, err := io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusPartialContent || n != 1_000_000 || err != nil || !strings.HasPrefix(resp.Header.Get("Content-Range"), "bytes 1000000-1999999/") {
		t.Errorf("range: %s, %d bytes, %v", resp.Status, n, err)
	}
	resp = ask(http.MethodGet, "/test/reset?at=body", nil)
	if b, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("an answer that broke off after %d bytes counts as whole", len(b))
	}

	page := fetch(t, v, "/maintenance")
	m := csrfMeta.FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("no form token on %.500s", page)
	}
	image := bytes.Repeat([]byte("firmware"), 1<<20)
	sum := sha256.Sum256(image)
	resp = ask(http.MethodPost, "/maintenance/firmware", bytes.NewReader(image), "Content-Type", "application/octet-stream", "X-CSRF-Token", m[1])
	if b, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(b), hex.EncodeToString(sum[:])) {
		t.Errorf("upload: %s %s, %v", resp.Status, b, err)
	}

	resp = ask(http.MethodGet, "/events/system", nil, "Accept", "text/event-stream")
	if line, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil || line == "" {
		t.Errorf("events: %q, %v", line, err)
	}
	ws, err := v.WebSocket(t.Context(), "/ws/echo")
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	for n := range 3 {
		want := strings.Repeat(fmt.Sprint(n), 20_000)
		if err := ws.Write(t.Context(), websocket.MessageText, []byte(want)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := ws.Read(t.Context()); err != nil || string(got) != want {
			t.Fatalf("echo of %d bytes: %v", len(got), err)
		}
	}
}

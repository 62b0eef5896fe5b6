package console_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The stream over a real server with a write time-out that a stream outlives.
func TestLiveOverHTTP(t *testing.T) {
	f := sample()
	srv := httptest.NewUnstartedServer(newConsole(t, f))
	srv.Config.WriteTimeout = 50 * time.Millisecond
	srv.Start()
	defer srv.Close()
	r, _ := http.NewRequestWithContext(t.Context(), "GET", srv.URL+both, nil)
	r.Header.Set("Cookie", "__Host-trunkline-session="+goodToken)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := func(want string) string {
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), want) {
				return lines.Text()
			}
		}
		t.Fatalf("the stream ended before %q: %v", want, lines.Err())
		return ""
	}
	next("event: ready")
	// Longer than the server's time-out; nothing else tells that it has passed.
	time.Sleep(100 * time.Millisecond)
	f.set(f.devices[0])
	next("event: device")
	if !strings.Contains(next("data: "), "Harbour Hotel") {
		t.Error("no row")
	}
}

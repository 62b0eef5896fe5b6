package service_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"trunkline/internal/service"
)

func TestProfiles(t *testing.T) {
	s := httptest.NewServer(service.Profiles())
	defer s.Close()
	get := func(path string, status int) []byte {
		t.Helper()
		resp, err := http.Get(s.URL + "/debug/pprof/" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != status {
			t.Errorf("%s: %s, %v", path, resp.Status, err)
		}
		return b
	}
	for path, has := range map[string]string{"heap?gc=1": "inuse_space", "goroutine": "TestProfiles", "profile?seconds=0.1": "cpu"} {
		// A profile is protobuf in gzip: what go tool pprof reads begins so.
		if z, err := gzip.NewReader(bytes.NewReader(get(path, http.StatusOK))); err != nil {
			t.Errorf("%s: %v", path, err)
		} else if b, err := io.ReadAll(z); err != nil || !bytes.Contains(b, []byte(has)) {
			t.Errorf("%s: %d bytes, %v", path, len(b), err)
		}
	}
	if b := get("goroutine?debug=2", http.StatusOK); !bytes.Contains(b, []byte("TestProfiles")) {
		t.Errorf("stacks: %.300s", b)
	}
	if b := get("trace?seconds=0.1", http.StatusOK); !bytes.HasPrefix(b, []byte("go 1.")) {
		t.Errorf("trace: %.30q", b)
	}
	if b := string(get("", http.StatusOK)); !strings.Contains(b, "\theap\n") || !strings.Contains(b, "\ttrace\n") {
		t.Errorf("list: %q", b)
	}
	if b := get("cmdline", http.StatusOK); !bytes.Contains(b, []byte("service.test")) {
		t.Errorf("command line: %q", b)
	}
	get("nonsense", http.StatusNotFound)
}

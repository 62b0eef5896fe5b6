package edge_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// h2specKnown are the cases in which golang.org/x/net/http2 deviates and lets
// nobody change it (docs/adr/0015). Each still ends in a refusal.
var h2specKnown = map[string]string{
	"Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE":                                        "it closes the connection",
	"Sends a HEADERS frame that contains the connection-specific header field":                     "it answers 400, and does not reset",
	`Sends a HEADERS frame that contains the TE header field with any value other than "trailers"`: "it answers 400, and does not reset",
	// The edge's 401 for a request without a visit may be out before the second frame is read.
	"Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1 on a stream": "its request may be answered first, and the rest of it is reset",
}

var h2specFailed = regexp.MustCompile(`(?m)^ *× \d+: (.*?) *$`)

// The edge keeps to RFC 9113 and RFC 7541, as h2spec has them, but for what is known.
func TestH2Spec(t *testing.T) {
	found, err := filepath.Glob("../../bin/tools/h2spec-*")
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		const why = "no h2spec in bin/tools: run `make h2spec`"
		if os.Getenv("CI") == "true" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	w := newWorld(t, answers(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	host, port, err := net.SplitHostPort(w.addr)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), found[len(found)-1], "-t", "-k", "-h", host, "-p", port).CombinedOutput()
	s := string(out)
	all := regexp.MustCompile(`\d+ tests, (\d+) passed, .*`).FindStringSubmatch(s)
	if all == nil || all[1] == "0" {
		t.Fatalf("h2spec did not run to its end: %v\n%s", err, s)
	}
	_, failures, _ := strings.Cut(s, "Failures:")
	for _, m := range h2specFailed.FindAllStringSubmatch(failures, -1) {
		if _, ok := h2specKnown[m[1]]; !ok {
			t.Errorf("%s\n%s", m[1], failures)
		}
	}
	t.Log(all[0])
}

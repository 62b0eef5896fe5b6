package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"trunkline/bench/load"
)

// wrkResult is what the script below prints at the end.
type wrkResult struct {
	Requests int64 `json:"requests"`
	Micros   int64 `json:"micros"` // of the run
	P50      int64 `json:"p50"`    // microseconds
	Connect  int64 `json:"connect"`
	Read     int64 `json:"read"`
	Write    int64 `json:"write"`
	Status   int64 `json:"status"`
	Timeout  int64 `json:"timeout"`
}

// wrkScript keeps the cookie off the command line, dials loopback whatever the
// host's name is (the C library does not know RFC 6761's names), and prints
// what would have to be picked out of a text for people otherwise.
func wrkScript(headers map[string]string) []byte {
	var b bytes.Buffer
	for name, value := range headers {
		fmt.Fprintf(&b, "wrk.headers[%q] = %q\n", name, value)
	}
	b.WriteString(`
function wrk.resolve(host, service) wrk.addrs = wrk.lookup("127.0.0.1", service) end
function done(summary, latency, requests)
	local e = summary.errors
	io.write(string.format('\n{"requests":%d,"micros":%d,"p50":%d,"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}\n',
		summary.requests, summary.duration, latency:percentile(50), e.connect, e.read, e.write, e.status, e.timeout))
end
`)
	return b.Bytes()
}

// runWrk loads url over conns kept connections. Anything but success is an error.
func runWrk(ctx context.Context, w *world, e load.Endpoint, path string, conns, seconds int) (wrkResult, error) {
	program, err := lookup("wrk")
	if err != nil {
		return wrkResult{}, err
	}
	script := w.path("wrk.lua")
	if err := os.WriteFile(script, wrkScript(e.Headers), 0o600); err != nil {
		return wrkResult{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+startTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-t1", "-c", strconv.Itoa(conns), "-d", strconv.Itoa(seconds)+"s", "-s", script, e.URL(path))
	own(cmd)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return wrkResult{}, fmt.Errorf("wrk: %w\n%s", errors.Join(context.Cause(ctx), err), out)
	}
	return parseWrk(out)
}

func parseWrk(out []byte) (wrkResult, error) {
	i := bytes.LastIndex(out, []byte("\n{"))
	if i < 0 {
		return wrkResult{}, fmt.Errorf("wrk printed no summary:\n%s", out)
	}
	var r wrkResult
	if err := json.Unmarshal(out[i:], &r); err != nil {
		return wrkResult{}, fmt.Errorf("wrk's summary: %w", err)
	}
	var bad []string
	for _, e := range []struct {
		n    int64
		what string
	}{
		{r.Status, "error statuses"}, {r.Connect, "failed connects"}, {r.Read, "failed reads"}, {r.Write, "failed writes"}, {r.Timeout, "timeouts"},
	} {
		if e.n != 0 {
			bad = append(bad, fmt.Sprintf("%d %s", e.n, e.what))
		}
	}
	if bad != nil {
		return wrkResult{}, fmt.Errorf("of %d requests there were %s", r.Requests, strings.Join(bad, ", "))
	}
	if r.Requests <= 0 || r.Micros <= 0 {
		return wrkResult{}, errors.New("wrk made no request")
	}
	return r, nil
}

package cmd_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"trunkline/internal/controlapi"
	"trunkline/internal/visitor"
)

// healing is how long a killed part may take to be back; nothing that passes
// takes as long.
const healing = time.Minute

// watched is a demo with its parts as processes, seen from outside.
type watched struct {
	t       *testing.T
	console string
	tls     *tls.Config
	api     *controlapi.Client

	mu   sync.Mutex
	pids map[string]int // newest, by the part's name
	said map[string]string
}

// Each part is killed as a crash would; the demo has to heal by itself, and
// what does not need the part must not notice.
func TestDemoHeals(t *testing.T) {
	d := startDemo(t)
	device := d.device()
	start, err := d.api.StartVisit(t.Context(), controlapi.VisitRequest{Device: device.ID})
	if err != nil {
		t.Fatal(err)
	}
	v, err := visitor.Enter(t.Context(), d.tls, d.console, start)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.CloseIdleConnections)
	page := func() error { _, err := v.Fetch(t.Context(), "/test/1kb"); return err }
	if err := page(); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"trunkline-agent", "trunkline relay", "trunkline control"} {
		failed := 0
		took := d.kill(part, func() error {
			err := page()
			if err != nil {
				failed++
			}
			if part == "trunkline control" && err != nil {
				t.Errorf("an open visit needs control: %v", err)
			}
			return err
		})
		t.Logf("%s killed: pages after %v (%d had failed), connected in the list after %v", part, took.page, failed, took.list)
	}
}

type healed struct{ page, list time.Duration }

// kill ends a part with SIGKILL and waits until a page and the list are right
// again, with the part's next life.
func (d *watched) kill(part string, page func() error) (h healed) {
	d.t.Helper()
	old := d.pid(part)
	began := time.Now()
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		d.t.Fatal(err)
	}
	for {
		perr := page()
		_, lerr := d.connected()
		if perr == nil && h.page == 0 {
			h.page = time.Since(began)
		} else if perr != nil {
			h.page = 0
		}
		if lerr == nil && h.list == 0 {
			h.list = time.Since(began)
		} else if lerr != nil {
			h.list = 0
		}
		if h.page != 0 && h.list != 0 && d.pid(part) != old {
			return h
		}
		if time.Since(began) > healing {
			d.t.Fatalf("%s did not heal: page %v, list %v", part, perr, lerr)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (d *watched) pid(part string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pids[part]
}

func (d *watched) connected() (controlapi.Device, error) {
	ctx, cancel := context.WithTimeout(d.t.Context(), 2*time.Second)
	defer cancel()
	page, err := d.api.Devices(ctx, controlapi.DeviceQuery{DeviceFilter: controlapi.DeviceFilter{Search: "3631A20C0042"}}) // not the pair
	if err != nil {
		return controlapi.Device{}, err
	}
	if len(page.Items) != 1 || page.Items[0].Status != controlapi.StatusConnected {
		return controlapi.Device{}, fmt.Errorf("%+v", page.Items)
	}
	return page.Items[0], nil
}

func (d *watched) device() controlapi.Device {
	d.t.Helper()
	dev, err := d.connected()
	if err != nil {
		d.t.Fatal(err)
	}
	return dev
}

var (
	runsAs = regexp.MustCompile(`^(trunkline\S*(?: \w+)?) runs as process (\d+)$`)
	fact   = regexp.MustCompile(`^\s+(Console|Sign in|Password)\s+(\S+)$`)
)

// startDemo runs `trunkline demo --split` on free ports until the test ends.
func startDemo(t *testing.T) *watched {
	t.Helper()
	agent, err := exec.LookPath("trunkline-agent")
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	cmd := exec.Command("trunkline", "demo", "--split", "--data", data, "--listen", "127.0.0.1:0", "--agent", agent)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d := &watched{t: t, pids: make(map[string]int), said: make(map[string]string)}
	ready, gone := make(chan struct{}), make(chan struct{})
	go func() { defer close(gone); d.read(bufio.NewScanner(out), ready) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-gone
		if err := cmd.Wait(); err != nil {
			t.Errorf("demo did not stop cleanly: %v", err)
		}
		for part, pid := range d.pids {
			if syscall.Kill(pid, 0) == nil {
				t.Errorf("%s (process %d) outlives the demo", part, pid)
			}
		}
	})
	select {
	case <-ready:
	case <-gone:
		t.Fatal("the demo ended")
	case <-time.After(healing):
		t.Fatal("the demo did not come up")
	}
	d.signIn(filepath.Join(data, "tls", "ca.pem"))
	return d
}

// read follows what the demo prints; ready is closed when it has told all.
func (d *watched) read(lines *bufio.Scanner, ready chan<- struct{}) {
	for lines.Scan() {
		d.mu.Lock()
		if m := runsAs.FindStringSubmatch(lines.Text()); m != nil {
			d.pids[m[1]], _ = strconv.Atoi(m[2])
		}
		if m := fact.FindStringSubmatch(lines.Text()); m != nil {
			d.said[m[1]] = m[2]
			if m[1] == "Password" {
				close(ready)
			}
		}
		d.mu.Unlock()
	}
}

func (d *watched) signIn(caFile string) {
	d.t.Helper()
	pem, err := os.ReadFile(caFile)
	if err != nil {
		d.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	d.tls, d.console = &tls.Config{RootCAs: pool}, d.said["Console"]
	transport := controlapi.NewTransport(d.tls)
	d.t.Cleanup(transport.CloseIdleConnections)
	if d.api, err = controlapi.NewClient(d.console, &http.Client{Transport: transport}); err != nil {
		d.t.Fatal(err)
	}
	session, err := d.api.SignIn(d.t.Context(), d.said["Sign in"], d.said["Password"])
	if err != nil {
		d.t.Fatal(err)
	}
	d.api = d.api.WithToken(session.Token)
}

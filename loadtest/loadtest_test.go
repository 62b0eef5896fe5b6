package loadtest_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"

	"trunkline/cmd/trunkline/up"
	"trunkline/control/license"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/testnet"
	"trunkline/loadtest"
)

// options are a small test of w.
func options(w *testnet.World) loadtest.Options {
	o := loadtest.Default()
	o.Server, o.CAFile = w.Up.ConsoleURL(), w.Up.CA().File()
	o.Email, o.Password = w.Login()
	o.Devices, o.Rate, o.Duration, o.Path = 3, 50, time.Second, "/pages/start?x=1"
	return o
}

func run(t *testing.T, ctx context.Context, o loadtest.Options) (loadtest.Result, string, error) {
	t.Helper()
	var progress bytes.Buffer
	reg := prometheus.NewRegistry()
	lt, err := loadtest.New(o, &progress, zap.NewNop(), reg)
	if err != nil {
		t.Fatal(err)
	}
	r, err := lt.Run(ctx)
	if strings.Contains(progress.String(), o.Password) {
		t.Error("the password is in the output")
	}
	if n, merr := testutil.GatherAndCount(reg, "trunkline_loadtest_request_seconds"); merr != nil || n != 1 {
		t.Errorf("metrics: %d, %v", n, merr)
	}
	return r, progress.String(), err
}

// nothingLeft: no device, and so no connection taken.
func nothingLeft(t *testing.T, w *testnet.World) {
	t.Helper()
	page, err := w.API.Devices(t.Context(), controlapi.DeviceQuery{})
	if err != nil || page.Total != 0 {
		t.Errorf("%d devices are left, %v", page.Total, err)
	}
	sub, err := w.API.Subscription(t.Context())
	if err != nil || sub.Used != 0 {
		t.Errorf("%d connections are still taken, %v", sub.Used, err)
	}
}

func TestLoad(t *testing.T) {
	w := testnet.Start(t, nil)
	r, progress, err := run(t, t.Context(), options(w))
	if err != nil {
		t.Fatal(err)
	}
	if r.Devices != 3 || r.Requests != 50 || r.OK != r.Requests || r.Errors != 0 || len(r.ByResult) != 0 {
		t.Errorf("result %+v", r)
	}
	if r.Bytes != r.OK*1024 || r.P50 <= 0 || r.P50 > r.P90 || r.P90 > r.P99 || r.P99 > r.Max {
		t.Errorf("result %+v", r)
	}
	for _, want := range []string{"3 devices activated", "3 tunnels up", "3 visits open"} {
		if !strings.Contains(progress, want) {
			t.Errorf("no %q in\n%s", want, progress)
		}
	}
	nothingLeft(t, w)
}

// Errors are counted by what they were, and they are no latencies.
func TestErrorsAreCounted(t *testing.T) {
	w := testnet.Start(t, nil)
	for result, spoil := range map[string]func(*loadtest.Options){
		"timeout": func(o *loadtest.Options) { o.Timeout = time.Microsecond },
		"unsent":  func(o *loadtest.Options) { o.MaxInFlight, o.Rate, o.Size = 1, 5000, 1<<20 },
	} {
		o := options(w)
		o.Devices, o.Duration = 1, 100*time.Millisecond
		spoil(&o)
		r, _, err := run(t, t.Context(), o)
		if err != nil {
			t.Fatalf("%s: %v", result, err)
		}
		if r.ByResult[result] == 0 || r.Errors < r.ByResult[result] || r.OK+r.Errors != r.Requests {
			t.Errorf("%s: result %+v", result, r)
		}
	}
	nothingLeft(t, w)
}

// What the relay refuses is counted by its status.
func TestStatusesAreCounted(t *testing.T) {
	w := testnet.Start(t, nil)
	out := &hook{at: "visits open", do: func() {
		page, err := w.API.Visits(t.Context(), controlapi.VisitQuery{})
		if err != nil || len(page.Items) != 3 {
			t.Errorf("visits: %d, %v", len(page.Items), err)
		}
		for _, v := range page.Items {
			if err := w.API.EndVisit(t.Context(), v.ID); err != nil {
				t.Error(err)
			}
		}
	}}
	o := options(w)
	o.Duration = 200 * time.Millisecond
	lt, err := loadtest.New(o, out, zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	r, err := lt.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for result, n := range r.ByResult {
		if !strings.HasPrefix(result, "status_4") || n == 0 {
			t.Errorf("%d of %s", n, result)
		}
	}
	if r.Errors == 0 || r.OK+r.Errors != r.Requests {
		t.Errorf("result %+v", r)
	}
	var table bytes.Buffer
	if err := r.Print(&table); err != nil || !strings.Contains(table.String(), "\n  status_4") {
		t.Errorf("%v, table\n%s", err, &table)
	}
	nothingLeft(t, w)
}

// An interrupted test says what it had, and clears away.
func TestInterrupted(t *testing.T) {
	w := testnet.Start(t, nil)
	o := options(w)
	o.Duration = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &hook{at: " ok ", do: cancel}
	lt, err := loadtest.New(o, out, zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	r, err := lt.Run(ctx)
	if err != nil || r.OK == 0 || r.Errors != 0 || r.Seconds > 60 {
		t.Errorf("result %+v, %v", r, err)
	}
	nothingLeft(t, w)
}

// hook does something when a line has at in it.
type hook struct {
	at   string
	do   func()
	once sync.Once
}

func (h *hook) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(h.at)) {
		h.once.Do(h.do)
	}
	return len(b), nil
}

// More devices than the licence has connections: a refusal, with its code, and
// those that were activated are gone again.
func TestRefusedActivation(t *testing.T) {
	w := testnet.Start(t, func(c *up.Config) { c.Control.LicenseFile, c.Control.LicenseKey = licence(t, 2) })
	o := options(w)
	_, _, err := run(t, t.Context(), o)
	if fault.CodeOf(err) != fault.NoConnections {
		t.Errorf("error %v", err)
	}
	nothingLeft(t, w)

	o = options(w)
	o.Password = "a guess of mine"
	if _, _, err := run(t, t.Context(), o); fault.CodeOf(err) != fault.WrongLogin || strings.Contains(err.Error(), o.Password) {
		t.Errorf("error %v", err)
	}
}

func licence(t *testing.T, connections int) (file, key string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := license.Issue(private, license.License{
		Holder: "ACME", Plan: "standard", Connections: connections,
		NotBefore: time.Now().Add(-time.Hour).Truncate(time.Second), Expires: time.Now().Add(time.Hour).Truncate(time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "licence")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file, base64.StdEncoding.EncodeToString(public)
}

func TestValidateNamesTheOption(t *testing.T) {
	good := loadtest.Default()
	good.Server, good.Email, good.Password = "https://console.example.com", "a@example.com", "secret"
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*loadtest.Options){
		"server":             func(o *loadtest.Options) { o.Server = "" },
		"email and password": func(o *loadtest.Options) { o.Password = "" },
		"devices":            func(o *loadtest.Options) { o.Devices = 0 },
		"duration":           func(o *loadtest.Options) { o.Duration = 0 },
		"rate":               func(o *loadtest.Options) { o.Rate = math.NaN() },
		"path":               func(o *loadtest.Options) { o.Path = "x" },
		"size":               func(o *loadtest.Options) { o.Size = -1 },
		"max-in-flight":      func(o *loadtest.Options) { o.MaxInFlight = 0 },
		"timeout":            func(o *loadtest.Options) { o.Timeout = 0 },
	} {
		o := good
		spoil(&o)
		if err := o.Validate(); err == nil || !strings.HasPrefix(err.Error(), name+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad := good
	bad.Server = "http://console.example.com"
	if _, err := loadtest.New(bad, nil, zap.NewNop(), prometheus.NewRegistry()); err == nil || !strings.HasPrefix(err.Error(), "server: ") {
		t.Errorf("plain HTTP: %v", err)
	}
	bad = good
	bad.CAFile = "loadtest_test.go"
	if _, err := loadtest.New(bad, nil, zap.NewNop(), prometheus.NewRegistry()); err == nil || !strings.HasPrefix(err.Error(), "ca: ") {
		t.Errorf("no certificate: %v", err)
	}
}

package relay_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"go.yaml.in/yaml/v3"

	"trunkline/agent"
	"trunkline/cmd/trunkline/cli"
	"trunkline/control"
	"trunkline/internal/bus"
	"trunkline/internal/controlapi"
	"trunkline/internal/freeport"
	"trunkline/internal/pbxsim"
	"trunkline/internal/selfca"
	"trunkline/internal/service"
	"trunkline/internal/testnet"
	"trunkline/internal/visitor"
	"trunkline/relay"
)

// asCommand makes the test's binary be `trunkline`, so that a test can start a
// relay that is a process of its own.
const asCommand = "TRUNKLINE_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		os.Exit(service.Main(cli.Root()))
	}
	os.Exit(m.Run())
}

// apart is an installation whose control and relay are processes.
type apart struct {
	console string
	ca      *selfca.CA
	relay   *exec.Cmd
	email   string
	data    string
}

func (a *apart) tls() *tls.Config { return &tls.Config{RootCAs: a.ca.Pool()} }

// freeAddr is for processes that are told their addresses.
func freeAddr(t *testing.T) (addr string, port int) {
	t.Helper()
	ports, err := freeport.Find(1)
	if err != nil {
		t.Fatal(err)
	}
	port, err = strconv.Atoi(ports[0])
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", ports[0]), port
}

func startApart(t *testing.T) *apart {
	t.Helper()
	dir := t.TempDir()
	password := filepath.Join(dir, "bus-password")
	if err := os.WriteFile(password, []byte(rand.Text()), 0o600); err != nil {
		t.Fatal(err)
	}
	c, r := control.Default(), relay.Default()
	var port int
	c.Data, c.CADir, r.CADir = filepath.Join(dir, "data"), filepath.Join(dir, "tls"), filepath.Join(dir, "tls")
	c.Listen, port = freeAddr(t)
	r.Console = fmt.Sprintf("https://%s:%d", c.ConsoleHost(), port)
	r.Listen, c.Port = freeAddr(t)
	busAddr, _ := freeAddr(t)
	c.Bus = bus.Config{Listen: busAddr, Logins: []bus.Login{{User: "r", PasswordFile: password, Relay: r.Name}}}
	r.Bus = bus.Config{URL: "nats://" + busAddr, User: "r", PasswordFile: password}
	c.Admin, _ = freeAddr(t)
	r.Admin, _ = freeAddr(t)
	r.Drain = relay.Drain{Deadline: time.Second}
	c.Log.Level, r.Log.Level = "warn", "warn"
	a := &apart{console: r.Console, email: c.FirstAdmin, data: c.Data}
	var err error
	if a.ca, err = selfca.Open(c.CADir, c.Zone); err != nil {
		t.Fatal(err)
	}
	startCommand(t, dir, "control", c)
	a.relay = startCommand(t, dir, "relay", r)
	testnet.Eventually(t, "both are ready", func() error { return errors.Join(ready(c.Admin), ready(r.Admin)) })
	return a
}

// startCommand runs `trunkline <name>` until the test ends.
func startCommand(t *testing.T, dir, name string, cfg any) *exec.Cmd {
	t.Helper()
	file := filepath.Join(dir, name+".yaml")
	b, err := yaml.Marshal(cfg)
	if err == nil {
		err = os.WriteFile(file, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], name, "--config", file)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
	return cmd
}

func ready(admin string) error {
	resp, err := http.Get("http://" + admin + "/readyz")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// visit connects a PBX whose portal and agent are in this process.
func (a *apart) visit(t *testing.T) *visitor.Visitor {
	t.Helper()
	log := zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel))
	portal, err := pbxsim.New(pbxsim.Config{}, log)
	if err != nil {
		t.Fatal(err)
	}
	testnet.Go(t, "portal", portal.Run)
	b, err := os.ReadFile(filepath.Join(a.data, control.PasswordFile))
	if err != nil {
		t.Fatal(err)
	}
	password := strings.TrimSpace(string(b))
	cfg := agent.Default()
	cfg.Data, cfg.Admin = filepath.Join(t.TempDir(), "agent"), agent.AdminOff
	id, err := agent.Activate(t.Context(), agent.Activation{
		Data: cfg.Data, Server: a.console, CAFile: a.ca.File(), Email: a.email, Password: password,
		Serial: "3631A20C0900", Model: testnet.Model, Firmware: testnet.Firmware, Portal: portal.URL(),
	}, log)
	if err != nil {
		t.Fatal(err)
	}
	ag, err := agent.New(cfg, log, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	testnet.Go(t, "agent", ag.Run)
	tr := controlapi.NewTransport(a.tls())
	t.Cleanup(tr.CloseIdleConnections)
	api, err := controlapi.NewClient(a.console, &http.Client{Transport: tr})
	if err != nil {
		t.Fatal(err)
	}
	session, err := api.SignIn(t.Context(), a.email, password)
	if err != nil {
		t.Fatal(err)
	}
	var v *visitor.Visitor
	testnet.Eventually(t, "a visit", func() error {
		start, err := api.WithToken(session.Token).StartVisit(t.Context(), controlapi.VisitRequest{Device: id.Device})
		if err == nil {
			v, err = visitor.Enter(t.Context(), a.tls(), a.console, start)
		}
		return err
	})
	t.Cleanup(v.CloseIdleConnections)
	return v
}

// peak is the most memory that a process has had in RAM since the last call.
func peak(t *testing.T, p *os.Process) (now, most float64) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/", p.Pid)
	b, err := os.ReadFile(dir + "status")
	if err != nil {
		t.Skip(err)
	}
	read := func(name string) float64 {
		_, rest, _ := strings.Cut(string(b), name+":")
		kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
		if err != nil {
			t.Fatal(err)
		}
		return kb / 1024
	}
	if err := os.WriteFile(dir+"clear_refs", []byte("5"), 0); err != nil { // proc(5): resets VmHWM
		t.Skip(err)
	}
	return read("VmRSS"), read("VmHWM")
}

// A transfer of any size takes the relay no more than its buffers.
func TestMemoryOfLargeTransfers(t *testing.T) {
	if raceDetector {
		t.Skip("its shadow memory makes the figure worthless")
	}
	const most = 32 // MiB
	const size = 256 << 20
	a := startApart(t)
	v := a.visit(t)
	before, _ := peak(t, a.relay.Process)
	for _, c := range []struct {
		name string
		do   func(context.Context, *visitor.Visitor, int64) error
	}{{"download", download}, {"upload", upload}} {
		began := time.Now()
		if err := c.do(t.Context(), v, size); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		took := time.Since(began)
		_, high := peak(t, a.relay.Process)
		t.Logf("%s of %d MiB at %.0f MiB/s: the relay had %.1f MiB at rest, %.1f MiB at most: %.1f MiB more",
			c.name, size>>20, float64(size>>20)/took.Seconds(), before, high, high-before)
		if high-before > most {
			t.Errorf("%s: the relay grew by %.1f MiB, more than %d", c.name, high-before, most)
		}
	}
}

func download(ctx context.Context, v *visitor.Visitor, size int64) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/test/bytes?n=1&size=%d", v.Origin, size), nil)
	if err != nil {
		return err
	}
	resp, err := v.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	h := sha256.New()
	n, err := io.Copy(h, resp.Body)
	if got, want := hex.EncodeToString(h.Sum(nil)), pbxsim.RecordingSHA256(1, size); err != nil || n != size || got != want {
		return fmt.Errorf("%s, %d bytes, SHA-256 %s, not %s: %w", resp.Status, n, got, want, err)
	}
	return nil
}

func upload(ctx context.Context, v *visitor.Visitor, size int64) error {
	h := sha256.New()
	body := io.TeeReader(io.LimitReader(mrand.NewChaCha8([32]byte{1}), size), h)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.Origin+"/test/upload", body)
	if err != nil {
		return err
	}
	req.ContentLength = size
	resp, err := v.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var got pbxsim.Upload
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		return fmt.Errorf("%s: %w", resp.Status, err)
	}
	if want := hex.EncodeToString(h.Sum(nil)); got.Bytes != size || got.SHA256 != want {
		return fmt.Errorf("%s: %+v, not SHA-256 %s", resp.Status, got, want)
	}
	return nil
}

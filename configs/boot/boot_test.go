package boot

import (
	"bytes"
	"context"
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// asked says that somebody has the minutes that it takes.
const asked = "TRUNKLINE_BOOT"

var (
	//go:embed testdata/steps.sh
	steps []byte
	//go:embed testdata/steps.service
	service []byte
)

// done is the last that the steps say.
const done = "ok all was done"

// Every unit starts, is ready, confined, reloaded, started again when it is killed and
// when it hangs, and ends, under systemd itself.
func TestUnits(t *testing.T) {
	switch {
	case os.Getenv(asked) == "":
		t.Skip("it takes minutes, and programs in bin: make units")
	case os.Getuid() != 0:
		t.Skip("containers are root's to make")
	}
	nspawn, err := exec.LookPath("systemd-nspawn")
	if err != nil {
		t.Skipf("%v: Debian's package is systemd-container", err)
	}
	in, out := luggage(t), t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, nspawn, "--directory="+disk(t), "--private-network", "--register=no", "--keep-unit", "--link-journal=no", "--console=pipe",
		"--bind-ro="+in+":/in", "--bind="+out+":/out", "--boot", "systemd.unit=steps.service")
	said, err := cmd.CombinedOutput()
	b, _ := os.ReadFile(filepath.Join(out, "said"))
	if !bytes.Contains(b, []byte(done)) {
		journal, _ := os.ReadFile(filepath.Join(out, "journal"))
		t.Errorf("it did not come to its end: %v\n%s\n%s", err, said, journal)
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "ok ") {
			t.Log(line)
		} else {
			t.Error(line)
		}
	}
}

// luggage is what the steps need.
func luggage(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	put := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("steps.sh", steps)
	put("control.yaml", []byte(`zone: pbx.test
listen: 127.0.0.1:8444
port: 8443
cert_file: /etc/trunkline/tls/fullchain.pem
key_file: /etc/trunkline/tls/privkey.pem
first_admin: admin@pbx.test
bus: { url: "nats://127.0.0.1:4222" }
`))
	put("relay.yaml", []byte(`name: relay-1
zone: pbx.test
listen: 127.0.0.1:8443
cert_file: /etc/trunkline/tls/fullchain.pem
key_file: /etc/trunkline/tls/privkey.pem
bus: { url: "nats://127.0.0.1:4222" }
`))
	put("nats-server.conf", []byte(`listen: "127.0.0.1:4222"
jetstream { store_dir: "/var/lib/nats", max_memory_store: 64MB, max_file_store: 1MB }
`))
	for _, from := range []string{
		"../up.yaml", "../agent.yaml", "../systemd", "../../bin/trunkline", "../../bin/trunkline-agent", "../../bin/tools/nats-server",
	} {
		command(t, "cp", "-r", from, dir)
	}
	return dir
}

// disk is this machine's, and what is written goes to memory and is forgotten. Its own
// services are not started.
func disk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	mount(t, dir, "-t", "tmpfs", "tmpfs")
	for _, sub := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mount(t, root, "-t", "overlay", "-o", "lowerdir=/,upperdir="+filepath.Join(dir, "upper")+",workdir="+filepath.Join(dir, "work"), "overlay")
	wants, err := filepath.Glob(filepath.Join(root, "etc/systemd/system/*.wants/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wants {
		if err := os.Remove(w); err != nil {
			t.Fatal(err)
		}
	}
	units := filepath.Join(root, "etc/systemd/system")
	if err := os.MkdirAll(units, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(units, "steps.service"), service, 0o644); err != nil {
		t.Fatal(err)
	}
	return root
}

func mount(t *testing.T, at string, how ...string) {
	t.Helper()
	command(t, "mount", append(how, at)...)
	t.Cleanup(func() { command(t, "umount", "--lazy", at) })
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if b, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, b)
	}
}

package walk_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// machine is a network namespace on a bridge, and a root directory that begins as
// this machine's.
type machine struct {
	t    *testing.T
	name string
	addr string
	root string
}

const (
	bridge = "walk0"
	// here is this process's address on the bridge.
	here = "10.0.0.254"
)

// command runs where the test does.
func command(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
}

func commands(t *testing.T, lines string) {
	t.Helper()
	for line := range strings.Lines(lines) {
		if args := strings.Fields(line); len(args) > 0 {
			command(t, args...)
		}
	}
}

// network is made in a namespace of the test's own, and is gone with it.
func network(t *testing.T) {
	t.Helper()
	commands(t, `
		mount -t tmpfs tmpfs /run/netns
		ip link set lo up
		ip link add `+bridge+` type bridge
		ip addr add `+here+`/24 dev `+bridge+`
		ip link set `+bridge+` up`)
}

// newMachine has what a fresh Debian has, the names of the installation, and a
// stand-in for systemd.
func newMachine(t *testing.T, dir, name, addr, hosts string, authority []byte) *machine {
	t.Helper()
	m := &machine{t, name, addr, filepath.Join(dir, name, "root")}
	commands(t, `
		ip netns add `+name+`
		ip link add v-`+name+` type veth peer name eth0 netns `+name+`
		ip link set v-`+name+` master `+bridge+` up
		ip -n `+name+` addr add `+addr+`/24 dev eth0
		ip -n `+name+` link set lo up
		ip -n `+name+` link set eth0 up`)
	upper, work := filepath.Join(dir, name, "upper"), filepath.Join(dir, name, "work")
	for _, d := range []string{m.root, upper, work} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	commands(t, `
		mount -t overlay overlay -o lowerdir=/,upperdir=`+upper+`,workdir=`+work+` `+m.root+`
		mount --rbind /dev `+m.root+`/dev
		mount -t proc proc `+m.root+`/proc
		mount -t tmpfs tmpfs `+m.root+`/run
		mount -t tmpfs tmpfs `+m.root+`/tmp`)
	shim, err := os.ReadFile("testdata/systemctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.logs)
	m.put("/usr/local/sbin/systemctl", shim, 0o755)
	m.put("/etc/hosts", []byte("127.0.0.1 localhost\n"+hosts), 0o644)
	m.put("/usr/local/share/walk.crt", authority, 0o644)
	m.run("/", "rm -rf /etc/trunkline /var/lib/trunkline* /var/lib/nats; mkdir -p /etc/systemd/system; cat /usr/local/share/walk.crt >>/etc/ssl/certs/ca-certificates.crt")
	return m
}

// logs tells what its daemons said, if something went wrong.
func (m *machine) logs() {
	if !m.t.Failed() {
		return
	}
	for _, name := range []string{"nats", "trunkline-control", "trunkline-relay", "haproxy", "agent"} {
		b, err := os.ReadFile(filepath.Join(m.root, "var/log", name+".log"))
		if err == nil && len(b) > 0 {
			m.t.Logf("%s, %s, its last words:\n%s", m.name, name, b[max(0, len(b)-2000):])
		}
	}
}

// lose pulls its plug: it says nothing any more, to nobody, and its daemons are gone
// without a chance to tidy up.
func (m *machine) lose() error {
	if out, err := exec.Command("ip", "link", "set", "v-"+m.name, "down").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	for _, name := range []string{"nats", "trunkline-control", "trunkline-relay"} {
		for _, who := range []string{"supervisor", "pid"} { // nobody starts it again
			b, err := os.ReadFile(filepath.Join(m.root, "run", name+"."+who))
			if err != nil {
				return err
			}
			pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
			if err != nil {
				return err
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				return fmt.Errorf("kill %s's %s: %w", name, who, err)
			}
		}
	}
	return nil
}

// put writes a file.
func (m *machine) put(path string, b []byte, mode os.FileMode) {
	m.t.Helper()
	path = filepath.Join(m.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, b, mode); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) shell(dir, script string) *exec.Cmd {
	// As somebody types it, but that it stops at what fails.
	return exec.Command("nsenter", "--net=/run/netns/"+m.name, "--root="+m.root, "--wd="+m.root+dir,
		"/usr/bin/env", "-i", "HOME=/root", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "/bin/bash", "-eo", "pipefail", "-c", script)
}

// run has a script typed in a directory of the machine, and gives what it printed.
func (m *machine) run(dir, script string) string {
	m.t.Helper()
	out, err := m.try(dir, script)
	if err != nil {
		m.t.Fatalf("%s$ %s\n%s%v", m.name, script, out, err)
	}
	return out
}

func (m *machine) try(dir, script string) (string, error) {
	// To a file, not to a pipe: what stays in the background would keep that open.
	f, err := os.CreateTemp(m.t.TempDir(), "said")
	if err != nil {
		return "", err
	}
	defer f.Close()
	cmd := m.shell(dir, script)
	cmd.Stdout, cmd.Stderr = f, f
	err = cmd.Run()
	b, rerr := os.ReadFile(f.Name())
	if err == nil {
		err = rerr
	}
	return string(b), err
}

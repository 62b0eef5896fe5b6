package configs_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"trunkline/cmd/trunkline/cli"
	"trunkline/control"
	"trunkline/internal/service"
	"trunkline/internal/testnet"
)

// hosts are the addresses that machines have here: their own, and not one with
// different ports.
var hosts = map[string]string{"a": "127.0.1.1", "b": "127.0.2.1", "c": "127.0.3.1", "balancer": "127.0.0.1"}

// What a relay's file says too, so that a test does not wait for nobody.
const soonDrained = "drain: {linger: 0s, deadline: 1s, spread: 0s}"

// site is an installation that runs from example files, in which addresses,
// ports and paths are replaced, and nothing else.
type site struct {
	dir   string
	ports map[string]string // what the examples have, and a free one on all hosts
	names map[string]string // of relays, with the machine that each is on
	ca    string            // PEM file
	tls   *tls.Config
	log   *zap.Logger
}

// newSite has certificates, and passwords of these users of the bus.
func newSite(t *testing.T, users ...string) *site {
	t.Helper()
	s := &site{
		dir: t.TempDir(), ports: freePorts(t, "443", "8444", "9701", "9702", "4222", "6222", "8222", "nats-a", "nats-b", "nats-c"),
		names: map[string]string{"relay-a": "a", "relay-b": "b", "relay-c": "c"},
		log:   zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel)),
	}
	s.ca, s.tls = filepath.Join(s.dir, "server.crt"), &tls.Config{RootCAs: certificate(t, s.dir)}
	for _, who := range users {
		t.Setenv("TRUNKLINE_"+envName(who)+"_PASSWORD", password(envName(who)))
	}
	return s
}

// freePorts are below those that Linux gives out for outgoing connections.
func freePorts(t *testing.T, names ...string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for tries := 0; len(out) < len(names); tries++ {
		if tries == 1000 {
			t.Fatal("there are no free ports")
		}
		port, free := strconv.Itoa(12_000+rand.IntN(20_000)), true
		for _, host := range hosts {
			ln, err := net.Listen("tcp", net.JoinHostPort(host, port))
			if err != nil {
				free = false
				break
			}
			defer ln.Close() // all at the end, so that they differ
		}
		if free {
			out[names[len(out)]] = port
		}
	}
	return out
}

// own is where a machine listens on the port that the examples have as name.
func (s *site) own(machine, name string) string {
	return net.JoinHostPort(hosts[machine], s.ports[name])
}

// leftOver is what would be somebody else's.
var leftOver = regexp.MustCompile(`(?m)^[^#\n]*(10\.0\.0\.|example\.com|/etc/|/var/).*$`)

// aPort is a whole one: another's may begin as ours does.
var aPort = regexp.MustCompile(`(:| port )[0-9]+\b`)

// install writes an example to a machine, more of it replaced: old and new in
// turn.
func (s *site) install(t *testing.T, machine, example string, more ...string) (file string) {
	t.Helper()
	dir := filepath.Join(s.dir, machine)
	crt, key := filepath.Join(s.dir, "server.crt"), filepath.Join(s.dir, "server.key")
	oldNew := []string{
		"listen: :443", "listen: " + s.own(machine, "443"), "listen: :8444", "listen: " + s.own(machine, "8444"),
		"bind :443", "bind " + s.own("balancer", "443"),
		"10.0.0.1", hosts["a"], "10.0.0.2", hosts["b"], "10.0.0.3", hosts["c"], "10.0.0.8", "127.0.0.8",
		"pbx.example.com", "localhost",
		"/etc/trunkline/nats/ca.crt", crt, "/etc/trunkline/nats", s.dir,
		"/etc/trunkline/tls/fullchain.pem", crt, "/etc/trunkline/tls/privkey.pem", key, "/etc/trunkline", dir,
		"port: 443", "port: " + s.ports["443"],
	}
	text := strings.NewReplacer(oldNew...).Replace(replace(t, example, readFile(t, example), more...))
	text = aPort.ReplaceAllStringFunc(text, func(found string) string {
		name := strings.TrimLeft(found, ": port")
		if port, ok := s.ports[name]; ok {
			return strings.TrimSuffix(found, name) + port
		}
		return found
	})
	if left := leftOver.FindString(text); left != "" {
		t.Fatalf("%s is not replaced whole: %s", example, left)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, filepath.Base(example))
	write(t, file, text)
	return file
}

// trunkline is the program, in this process.
func trunkline(ctx context.Context, args ...string) error {
	c := cli.Root()
	c.SetArgs(args)
	return c.ExecuteContext(ctx)
}

// daemon runs a plane until the test ends; ready is what its admin listener says.
func (s *site) daemon(t *testing.T, machine, plane, file, more string) (ready func() error) {
	t.Helper()
	user, admin := plane, s.own(machine, "9701")
	text := readFile(t, file)
	if plane == "relay" {
		user, admin = regexp.MustCompile(`(?m)^  user: (.*)$`).FindStringSubmatch(text)[1], s.own(machine, "9702")
	}
	write(t, filepath.Join(s.dir, machine, plane+".password"), password(envName(user)))
	write(t, file, text+"\n"+more+"\n")
	testnet.Go(t, plane+" of "+machine, func(ctx context.Context) error { return trunkline(ctx, plane, "--config", file) })
	return func() error { return service.Ready(t.Context(), admin) }
}

// nats runs a machine's server of an example until the test ends, more of its file
// replaced: old and new in turn.
func (s *site) nats(t *testing.T, example, machine string, more ...string) {
	t.Helper()
	s.install(t, machine, example+"/accounts.conf")
	startNATS(t, s.install(t, machine, example+"/"+machine+"/nats-server.conf", append(more,
		"/var/lib/nats", filepath.Join(s.dir, machine, "nats"), `"127.0.0.1:8222"`, strconv.Quote(s.own(machine, "8222")))...))
}

// controls runs three-machines' controls until the test ends; ready is what each says.
func (s *site) controls(t *testing.T, database string, more ...string) (ready []func() error) {
	t.Helper()
	for _, m := range machines {
		file := s.install(t, m, "three-machines/"+m+"/control.yaml", append(more,
			"postgres://trunkline@db.example.com/trunkline?sslmode=verify-full", database)...)
		ready = append(ready, s.daemon(t, m, "control", file, "data: "+filepath.Join(s.dir, m, "lib")))
		if m == "a" { // it makes the owner
			testnet.Eventually(t, "control of a ready", ready[0])
		}
	}
	return ready
}

// ownersPassword is the first owner's, which control of a has made.
func (s *site) ownersPassword(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(readFile(t, filepath.Join(s.dir, "a", "lib", control.PasswordFile)))
}

// program finds one that Debian packages, as `make test-deps` installs it.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil { // the system's programs are not in everybody's PATH
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil {
		why := name + " is not installed: run `make test-deps`"
		if os.Getenv("CI") != "" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	return path
}

// balance runs a load balancer until the test ends.
func (s *site) balance(t *testing.T, haproxy, file string) {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command(haproxy, "-db", "-f", file)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = &said, &said, service.Child(syscall.SIGKILL)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("haproxy said:\n%s", said.String())
		}
	})
}

func (s *site) console() string { return "https://console.localhost:" + s.ports["443"] }

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

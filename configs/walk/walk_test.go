package walk_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"trunkline/internal/pbxsim"
	"trunkline/internal/pgserver"
	"trunkline/internal/service"
	"trunkline/internal/testnet"
)

const (
	asked  = "TRUNKLINE_WALK"        // somebody has the minute or two that it takes
	inside = "TRUNKLINE_WALK_INSIDE" // this process has namespaces of its own
)

var addresses = map[string]string{"a": "10.0.0.1", "b": "10.0.0.2", "c": "10.0.0.3"}

const (
	balancer, database, pbxAddr = "10.0.0.8", "10.0.0.20", "10.0.0.30"
	owner                       = "admin@pbx.example.com" // control.yaml's first_admin
)

// A newcomer finds in README.md where three machines are set up, does so, connects a
// PBX by README.md, and is in its portal: through the load balancer, and by way of a
// relay on another machine than the one that the PBX is connected to. That machine is
// stopped then, and another one lost.
func TestAWalkThroughThreeMachines(t *testing.T) {
	switch {
	case os.Getenv(inside) != "":
		walk(t)
	case os.Getenv(asked) == "":
		t.Skip("it takes a minute or two, and programs in bin: make walk")
	case os.Getuid() != 0:
		t.Skip("namespaces and their root directories are root's to make")
	default:
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		// What runs in there ends with its first process.
		cmd := exec.Command("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", self, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=8m")
		cmd.Env = append(os.Environ(), inside+"=1")
		out, err := cmd.CombinedOutput()
		t.Logf("%s", out)
		if err != nil {
			t.Fatal(err)
		}
	}
}

func walk(t *testing.T) {
	if err := os.MkdirAll("/run/netns", 0o755); err != nil {
		t.Fatal(err)
	}
	network(t)
	const dir = "/mnt" // a mount of this process's alone, and gone with it
	command(t, "mount", "-t", "tmpfs", "tmpfs", dir)
	ca := newAuthority(t)
	hosts := balancer + " console.pbx.example.com\n" + database + " db.example.com\n"
	for m, addr := range addresses {
		hosts += addr + " relay-" + m + ".pbx.example.com\n"
	}
	fresh := func(name, addr string) *machine { return newMachine(t, dir, name, addr, hosts, ca.pem) }
	password := rand.Text()
	startDatabase(t, dir, fresh("db", database), ca, password)

	doc := linked(t, "../../README.md", "docs/operations.md#three-machines")
	if !strings.Contains(doc.text, "`configs/three-machines/`") {
		t.Fatalf("%s does not say where its files are", doc.name)
	}
	steps := doc.blocks(4)
	keys, install, start, check := steps[0], steps[1], steps[2], steps[3]

	// 1. Keys and passwords.
	desk := filepath.Join(dir, "desk")
	if err := os.Mkdir(desk, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "-eo", "pipefail", "-c", keys)
	cmd.Dir = desk
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s\n%s%v", keys, out, err)
	}

	// 2. Install. What is to be copied to a machine is in this directory there.
	const luggage = "/root/trunkline"
	chain, private := ca.server("*.pbx.example.com")
	machines := make(map[string]*machine)
	for m, addr := range addresses {
		at := fresh(m, addr)
		machines[m] = at
		at.put(luggage+"/fullchain.pem", chain, 0o644)
		at.put(luggage+"/privkey.pem", private, 0o600)
		for _, name := range []string{"ca.crt", "server-" + m + ".crt", "server-" + m + ".key", "nats.env", "control.password", "relay-" + m + ".password"} {
			command(t, "cp", filepath.Join(desk, name), at.root+luggage)
		}
		command(t, "mkdir", at.root+luggage+"/bin")
		command(t, "cp", "../../bin/trunkline", at.root+luggage+"/bin")
		command(t, "cp", "../../bin/tools/nats-server", at.root+"/usr/sbin/nats-server")
		command(t, "cp", "-r", "..", at.root+luggage+"/configs")
		mine := strings.NewReplacer("/a/", "/"+m+"/", "server-a", "server-"+m, "relay-a", "relay-"+m).Replace(install)
		mine = with(t, mine, "TRUNKLINE_DATABASE_PASSWORD=...", "TRUNKLINE_DATABASE_PASSWORD="+password,
			"\nnats-server -t", "\n"+doc.within("set -a;")+"; set +a\nnats-server -t")
		at.run(luggage, mine)
	}

	// 3. Start, layer by layer, and control on a first.
	for line := range strings.Lines(start) {
		for _, m := range []string{"a", "b", "c"} {
			machines[m].run("/", line)
			if strings.Contains(line, "control") && m == "a" {
				testnet.Eventually(t, "control of a", func() error { return service.Ready(t.Context(), addresses["a"]+":9701") })
			}
		}
	}
	lb := fresh("balancer", balancer)
	b, err := os.ReadFile("../three-machines/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	lb.put("/etc/haproxy/haproxy.cfg", []byte(with(t, string(b), "maxconn 100000", "maxconn 2000")), 0o644) // as many files as a container may open
	lb.run("/", doc.within("haproxy -c"))

	// 4. Check.
	copies := doc.within("curl -fsS http://127.0.0.1")
	whole := func() {
		t.Helper()
		testnet.Eventually(t, "the check of step 4", func() error { return checked(lb, check) })
		for m, addr := range addresses {
			testnet.Eventually(t, "links of "+m, func() error { return hasLinks(t.Context(), addr) })
			testnet.Eventually(t, "copies of "+m, func() error { _, err := machines[m].try("/", copies); return err })
		}
	}
	whole()

	// A PBX, by README.md.
	secret, err := os.ReadFile(filepath.Join(machines["a"].root, "var/lib/trunkline/admin-password"))
	if err != nil {
		t.Fatal(err)
	}
	login := strings.TrimSpace(string(secret))
	connectPBX(t, fresh("pbx", pbxAddr), login)
	p := signIn(t, ca, login)
	if err := p.visit(t.Context(), p.to(t, balancer)); err != nil {
		t.Fatal(err)
	}
	p.seesEverywhere(t)

	// And step 4 again: any one machine may fall.
	stop, again := doc.within("systemctl stop"), doc.within("systemctl start")
	at := machines[p.relay(t)]
	p.goesOnWithout(t, at.name, "stopped", func() error { _, err := at.try("/", stop); return err })
	at.run("/", again)
	whole()
	p.sees(t, "the load balancer", "after "+at.name+" is back")

	at = machines[p.relay(t)]
	p.goesOnWithout(t, at.name, "lost", at.lose)
	command(t, "ip", "link", "set", "v-"+at.name, "up")
	at.run("/", again)
	whole()
	p.sees(t, "the load balancer", "after "+at.name+" is back")
}

// checked is step 4 on the load balancer.
func checked(lb *machine, check string) error {
	out, err := lb.try("/", check)
	if err == nil && !strings.HasSuffix(out, "console\n") {
		err = errors.New("it does not say console")
	}
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return err
}

// startDatabase is what the document takes for granted: PostgreSQL at
// db.example.com, with TLS, and a password.
func startDatabase(t *testing.T, parent string, m *machine, ca *authority, password string) {
	t.Helper()
	dir, err := os.MkdirTemp(parent, "pg")
	if err != nil {
		t.Fatal(err)
	}
	s, err := pgserver.Init(dir)
	if err != nil {
		t.Fatal(err)
	}
	chain, private := ca.server("db.example.com")
	for name, b := range map[string][]byte{"tls.crt": chain, "tls.key": private} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(file, int(s.Cred.Uid), int(s.Cred.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	hba, err := os.OpenFile(filepath.Join(dir, "data/pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hba.WriteString("hostssl all trunkline 10.0.0.0/24 scram-sha-256\n"); err != nil {
		t.Fatal(err)
	}
	if err := hba.Close(); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"nsenter", "--net=/run/netns/" + m.name, "setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"}, s.Postgres(database)...)
	args = append(args, "-c", "ssl=on", "-c", "ssl_cert_file="+filepath.Join(dir, "tls.crt"), "-c", "ssl_key_file="+filepath.Join(dir, "tls.key"))
	if err := exec.Command(args[0], args[1:]...).Start(); err != nil { // it ends with the namespace
		t.Fatal(err)
	}
	testnet.Eventually(t, "the database", s.Ready)
	if err := errors.Join(s.CreateDatabase("trunkline"), s.Run("psql", "-h", dir, "-U", pgserver.User, "-d", "trunkline", "-qc", "ALTER ROLE trunkline PASSWORD '"+password+"'")); err != nil {
		t.Fatal(err)
	}
}

// hasLinks reports that a relay has no link to one of the two others.
func hasLinks(ctx context.Context, addr string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+":9702/metrics", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		return err
	}
	if n := strings.Count(b.String(), "\ntrunkline_relay_peer_links{"); n != 2 {
		return fmt.Errorf("%d lines of trunkline_relay_peer_links, want 2", n)
	}
	return nil
}

// connectPBX is README's part "On the PBX", where the portal is beside the agent.
func connectPBX(t *testing.T, m *machine, login string) {
	t.Helper()
	portal, err := pbxsim.New(pbxsim.Config{
		Listen: here + ":0", Serial: "3631A20C0042", Model: testnet.Model, Firmware: testnet.Firmware, Name: "Acme Ltd",
		SuperAdmin: testnet.SuperUser, SuperPassword: testnet.SuperPassword, Admin: testnet.AdminUser, AdminPassword: testnet.AdminPassword,
	}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	testnet.Go(t, "portal", portal.Run)
	command(t, "cp", "../../bin/trunkline-agent", m.root+"/usr/local/bin")
	m.put("/root/password", []byte(login), 0o600)
	typed, _, _ := strings.Cut(section(t, "../../README.md", "### On the PBX").blocks(1)[0], "\ntrunkline-agent status")
	typed = with(t, typed, ":8443", "", "you@example.com", owner, "https://127.0.0.1:8088", portal.URL()) + " --password-file /root/password"
	m.run("/root", typed)
	m.run("/root", "setsid trunkline-agent run >/var/log/agent.log 2>&1 </dev/null &")
	testnet.Eventually(t, "trunkline-agent status", func() error {
		out, err := m.try("/root", "trunkline-agent status")
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	})
}

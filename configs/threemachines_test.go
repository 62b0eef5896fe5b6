package configs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trunkline/control"
	"trunkline/internal/pgtest"
	"trunkline/internal/testnet"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

var machines = []string{"a", "b", "c"}

// Every relay's account is what nats-server.conf says that one is.
func TestAccountsOfThreeMachines(t *testing.T) {
	one, three := readFile(t, "nats-server.conf"), readFile(t, "three-machines/accounts.conf")
	_, want, _ := strings.Cut(withRelays(one, "relay-a", "relay-b", "relay-c"), "\naccounts {\n")
	_, got, _ := strings.Cut(three, "\naccounts {\n")
	blank := strings.NewReplacer("\n\n", "\n")
	if d := cmp.Diff(blank.Replace(want), blank.Replace(got)); d != "" {
		t.Errorf("-nats-server.conf +accounts.conf:\n%s", d)
	}
}

// The machines differ by their names and addresses, and the daemons take the
// files as they are.
func TestThreeMachinesDifferByNameAndAddress(t *testing.T) {
	for _, file := range []string{"relay.yaml", "control.yaml", "nats-server.conf"} {
		first := readFile(t, "three-machines/a/"+file)
		for n, m := range machines {
			path := "three-machines/" + m + "/" + file
			var own strings.Builder
			for line := range strings.Lines(readFile(t, path)) {
				line = strings.NewReplacer("relay-"+m, "relay-a", "nats-"+m, "nats-a", "machine "+m+",", "machine a,").Replace(line)
				if strings.Count(line, "10.0.0.") == 1 { // else it names all three
					line = strings.ReplaceAll(line, fmt.Sprintf("10.0.0.%d:", n+1), "10.0.0.1:")
				}
				own.WriteString(line)
			}
			if d := cmp.Diff(first, own.String()); d != "" {
				t.Errorf("-machine a +machine %s, %s:\n%s", m, file, d)
			}
			if plane, ok := strings.CutSuffix(file, ".yaml"); ok {
				if err := trunkline(t.Context(), plane, "--config", path, "--check"); err != nil {
					t.Errorf("%s: %v", path, err)
				}
			}
		}
	}
}

// Three machines run from their files. A PBX that is connected to one of them is
// visited by the load balancer, and by way of the other two.
func TestThreeMachines(t *testing.T) {
	haproxy, database := program(t, "haproxy"), pgtest.URL(t)
	s := newSite(t, "control", "relay-a", "relay-b", "relay-c")
	for _, m := range machines {
		s.install(t, m, "three-machines/accounts.conf")
		startNATS(t, s.install(t, m, "three-machines/"+m+"/nats-server.conf", "/var/lib/nats", filepath.Join(s.dir, m, "nats"),
			`"127.0.0.1:8222"`, fmt.Sprintf("%q", s.own(m, "8222"))))
	}
	var ready []func() error
	for _, m := range machines {
		file := s.install(t, m, "three-machines/"+m+"/control.yaml",
			"postgres://trunkline@db.example.com/trunkline?sslmode=verify-full", database)
		ready = append(ready, s.daemon(t, m, "control", file, "data: "+filepath.Join(s.dir, m, "lib")))
		if m == "a" { // it makes the owner
			testnet.Eventually(t, "control of a ready", ready[0])
		}
	}
	for _, m := range machines {
		ready = append(ready, s.daemon(t, m, "relay", s.install(t, m, "three-machines/"+m+"/relay.yaml"), soonDrained))
	}
	s.balance(t, haproxy, s.install(t, "a", "three-machines/haproxy.cfg",
		"log /dev/log local0", "log stdout format raw local0", "maxconn 100000", "maxconn 200"))
	for _, r := range ready {
		testnet.Eventually(t, "all ready", r)
	}

	secret, err := os.ReadFile(filepath.Join(s.dir, "a", "lib", control.PasswordFile))
	if err != nil {
		t.Fatal(err)
	}
	api := s.signIn(t, "admin@localhost", strings.TrimSpace(string(secret)))
	d := s.connect(t, api, "admin@localhost", strings.TrimSpace(string(secret)))
	s.balanced(t)
	v := s.enter(t, api, d, s.through(t, "balancer"))
	s.sees(t, "the load balancer", v)
	for _, m := range machines {
		if "relay-"+m == string(d.Relay) {
			continue
		}
		v.CloseIdleConnections()
		v.Transport = s.through(t, m)
		s.sees(t, "relay-"+m+", connected to "+string(d.Relay), v)
	}
}

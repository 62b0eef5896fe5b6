package configs_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trunkline/internal/pgtest"
	"trunkline/internal/testnet"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

var machines = []string{"a", "b", "c"}

// Every relay's account is what nats-server.conf says that one is.
func TestAccountsOfThreeMachines(t *testing.T) {
	for example, relays := range map[string][]string{
		"three-machines": {"relay-a", "relay-b", "relay-c"}, "three-regions": {"relay-eu-1", "relay-us-1", "relay-ap-1"},
	} {
		one, three := readFile(t, "nats-server.conf"), readFile(t, example+"/accounts.conf")
		_, want, _ := strings.Cut(withRelays(one, relays...), "\naccounts {\n")
		_, got, _ := strings.Cut(three, "\naccounts {\n")
		blank := strings.NewReplacer("\n\n", "\n")
		if d := cmp.Diff(blank.Replace(want), blank.Replace(got)); d != "" {
			t.Errorf("%s: -nats-server.conf +accounts.conf:\n%s", example, d)
		}
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
		s.nats(t, "three-machines", m)
	}
	ready := s.controls(t, database)
	for _, m := range machines {
		ready = append(ready, s.daemon(t, m, "relay", s.install(t, m, "three-machines/"+m+"/relay.yaml"), soonDrained))
	}
	s.balance(t, haproxy, s.install(t, "a", "three-machines/haproxy.cfg",
		"log /dev/log local0", "log stdout format raw local0", "maxconn 100000", "maxconn 200"))
	for _, r := range ready {
		testnet.Eventually(t, "all ready", r)
	}

	secret := s.ownersPassword(t)
	api := s.signIn(t, "admin@localhost", secret)
	d := s.connect(t, api, "admin@localhost", secret)
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

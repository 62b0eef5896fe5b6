package configs_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trunkline/internal/controlapi"
	"trunkline/internal/id"
	"trunkline/internal/pgtest"
	"trunkline/internal/testnet"
)

// where is on which machine here a region's relay is.
var where = map[string]string{"eu": "a", "us": "b", "ap": "c"}

func regional(region string) string { return "relay-" + region + "-1" }

// aComment is a line that is nothing else.
var aComment = regexp.MustCompile(`(?m)^ *#.*\n`)

// The relays differ by their names and regions. NATS is as with three machines, but for
// where it listens and what it tells clients of.
func TestThreeRegionsDifferByNameAndRegion(t *testing.T) {
	first := aComment.ReplaceAllString(readFile(t, "three-regions/eu/relay.yaml"), "")
	for region := range where {
		path := "three-regions/" + region + "/relay.yaml"
		if err := trunkline(t.Context(), "relay", "--config", path, "--check"); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		own := strings.NewReplacer(regional(region), "relay-eu-1", "region: "+region, "region: eu").Replace(aComment.ReplaceAllString(readFile(t, path), ""))
		if d := cmp.Diff(first, own); d != "" {
			t.Errorf("-eu +%s:\n%s", region, d)
		}
	}
	for n, m := range machines {
		path := "/" + m + "/nats-server.conf"
		want := replace(t, path, aComment.ReplaceAllString(readFile(t, "three-machines"+path), ""),
			fmt.Sprintf("listen: 10.0.0.%d:4222\n", n+1), "listen: 0.0.0.0:4222\n", "  name: trunkline\n", "  name: trunkline\n  no_advertise: true\n")
		if d := cmp.Diff(want, aComment.ReplaceAllString(readFile(t, "three-regions"+path), "")); d != "" {
			t.Errorf("-three-machines +three-regions, %s:\n%s", path, d)
		}
	}
}

// Three regions run from their files: relays reach each server of NATS by its name, and
// say where they are. A PBX is connected in the region that its account asks for, and
// visited from each.
func TestThreeRegions(t *testing.T) {
	haproxy, database := program(t, "haproxy"), pgtest.URL(t)
	users := []string{"control"}
	for region := range where {
		users = append(users, regional(region))
	}
	s := newSite(t, users...)
	for region, machine := range where {
		s.names[regional(region)] = machine
	}
	// A server listens on all addresses of its machine. Here those are one machine's, so
	// each server has a port of its own, also under its name.
	var private, named []string
	for n, m := range machines {
		private = append(private, fmt.Sprintf("10.0.0.%d:4222", n+1), hosts[m]+":"+s.ports["nats-"+m])
		named = append(named, "nats-"+m+".pbx.example.com:4222", s.byName(m))
	}
	for _, m := range machines {
		s.nats(t, "three-regions", m, "0.0.0.0:4222", "0.0.0.0:"+s.ports["nats-"+m])
	}
	ready := s.controls(t, database, private...)
	for region, machine := range where {
		// Names of relays lead nowhere here, so they are told each other's addresses.
		ready = append(ready, s.daemon(t, machine, "relay", s.install(t, machine, "three-regions/"+region+"/relay.yaml", named...),
			soonDrained+"\nadmin: "+s.own(machine, "9702")+"\npeer: {advertise: '"+s.own(machine, "443")+"'}"))
	}
	s.balance(t, haproxy, s.install(t, "a", "three-regions/haproxy.cfg",
		"log /dev/log local0", "log stdout format raw local0", "maxconn 100000", "maxconn 200"))
	for _, r := range ready {
		testnet.Eventually(t, "all ready", r)
	}
	for _, m := range machines {
		external{url: "tls://" + s.byName(m), ca: s.ca}.open(t, "relay-ap-1", "RELAY_AP_1")
		nc := external{url: "tls://" + hosts[m] + ":" + s.ports["nats-"+m], roots: s.tls}.raw(t, "control", "CONTROL")
		if told := nc.DiscoveredServers(); len(told) > 0 {
			t.Errorf("nats-%s tells clients of %v, which relays do not reach", m, told)
		}
	}

	secret := s.ownersPassword(t)
	api := s.signIn(t, "admin@localhost", secret)
	testnet.Eventually(t, "the list of relays", func() error { return s.listed(t, api) })
	wish := "us"
	if _, err := api.EditTunnelSettings(t.Context(), controlapi.TunnelSettingsEdit{Region: &wish}); err != nil {
		t.Fatal(err)
	}
	d := s.connect(t, api, "admin@localhost", secret)
	if string(d.Relay) != regional(wish) {
		t.Errorf("the account's region is %s, and the PBX is at %s", wish, d.Relay)
	}
	for region, machine := range where {
		s.sees(t, region, s.enter(t, api, d, s.through(t, machine)))
	}
}

// byName is where relays find a machine's server of NATS: the bus takes names below
// localhost for this machine.
func (s *site) byName(machine string) string {
	return "nats-" + machine + ".localhost:" + s.ports["nats-"+machine]
}

// listed errs unless control has the relays as their files say.
func (s *site) listed(t *testing.T, api *controlapi.Client) error {
	page, err := api.Relays(t.Context(), controlapi.RelayQuery{})
	if err != nil {
		return err
	}
	got, want := make(map[id.Relay]string), make(map[id.Relay]string)
	for _, r := range page.Items {
		got[r.Name] = r.Region + " " + r.State + " " + strings.Join(r.Addrs, " ")
	}
	for region := range where {
		want[id.Relay(regional(region))] = region + " ready " + regional(region) + ".localhost:" + s.ports["443"]
	}
	if d := cmp.Diff(want, got); d != "" {
		return fmt.Errorf("-their files +the list:\n%s", d)
	}
	return nil
}

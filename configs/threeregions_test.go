package configs_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"trunkline/control"
	"trunkline/internal/bus"
	"trunkline/internal/controlapi"
	"trunkline/internal/testnet"
)

// where is on which machine here a region's relay is.
var where = map[string]string{"eu": "a", "us": "b", "ap": "c"}

func regional(region string) string { return "relay-" + region + "-1" }

// Relays in three regions run from their files, and say where they are. A PBX is
// connected in the region that its account asks for, and visited from each.
func TestThreeRegions(t *testing.T) {
	var names []string
	for region := range where {
		path := "three-regions/" + region + "/relay.yaml"
		if err := trunkline(t.Context(), "relay", "--config", path, "--check"); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		names = append(names, regional(region))
	}
	e := startExternal(t, asItIs, names...)
	s := newSite(t)
	for region, machine := range where {
		s.names[regional(region)] = machine
	}
	testnet.Eventually(t, "control is ready", s.daemon(t, "balancer", "control", s.install(t, "balancer", "control.yaml"), strings.Join([]string{
		"data: " + filepath.Join(s.dir, "lib"), "listen: " + s.own("balancer", "443"), "zone: localhost", "port: " + s.ports["443"],
		"cert_file: " + filepath.Join(s.dir, "server.crt"), "key_file: " + filepath.Join(s.dir, "server.key"), "admin: " + s.own("balancer", "9701"),
		"bus: {url: '" + e.url + "', ca_file: " + e.ca + ", user: control, password_file: " + filepath.Join(s.dir, "balancer", "control.password") + "}",
	}, "\n")))
	for region, machine := range where {
		// The bus has a certificate of its own here, and relays have no DNS.
		file := s.install(t, machine, "three-regions/"+region+"/relay.yaml", "/etc/trunkline/nats/ca.crt", e.ca,
			"tls://nats-a.pbx.example.com:4222,tls://nats-b.pbx.example.com:4222,tls://nats-c.pbx.example.com:4222", e.url)
		s.daemon(t, machine, "relay", file, soonDrained+"\nadmin: "+s.own(machine, "9702")+"\npeer: {advertise: '"+s.own(machine, "443")+"'}")
	}
	leases := bus.NewBucket[bus.Lease](e.open(t, "control", "CONTROL"), bus.Relays)
	for region := range where {
		name := regional(region)
		testnet.Eventually(t, name+" has its lease", func() error {
			l, _, err := leases.Get(t.Context(), name)
			if err == nil && (l.Region != region || len(l.Addrs) != 1 || l.Addrs[0] != name+".localhost:"+s.ports["443"]) {
				err = fmt.Errorf("it says %+v", l)
			}
			return err
		})
	}
	secret := strings.TrimSpace(readFile(t, filepath.Join(s.dir, "lib", control.PasswordFile)))
	api := s.signIn(t, "admin@trunkline.local", secret)
	wish := "us"
	if _, err := api.EditTunnelSettings(t.Context(), controlapi.TunnelSettingsEdit{Region: &wish}); err != nil {
		t.Fatal(err)
	}
	d := s.connect(t, api, "admin@trunkline.local", secret)
	if string(d.Relay) != regional(wish) {
		t.Errorf("the account's region is %s, and the PBX is at %s", wish, d.Relay)
	}
	for region, machine := range where {
		s.sees(t, region, s.enter(t, api, d, s.through(t, machine)))
	}
}

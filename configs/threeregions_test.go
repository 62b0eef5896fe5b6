package configs_test

import (
	"fmt"
	"testing"

	"trunkline/internal/bus"
	"trunkline/internal/testnet"
)

// Relays in three regions run from their files, and say where they are.
func TestThreeRegions(t *testing.T) {
	where := map[string]string{"eu": "a", "us": "b", "ap": "c"} // on which machine here
	var names []string
	for region := range where {
		path := "three-regions/" + region + "/relay.yaml"
		if err := trunkline(t.Context(), "relay", "--config", path, "--check"); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		names = append(names, "relay-"+region+"-1")
	}
	e := startExternal(t, asItIs, names...)
	control := e.open(t, "control", "CONTROL")
	if err := control.EnsureBuckets(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := newSite(t)
	for region, machine := range where {
		// The bus has a certificate of its own here.
		file := s.install(t, machine, "three-regions/"+region+"/relay.yaml", "/etc/trunkline/nats/ca.crt", e.ca,
			"tls://nats-a.pbx.example.com:4222,tls://nats-b.pbx.example.com:4222,tls://nats-c.pbx.example.com:4222", e.url)
		s.daemon(t, machine, "relay", file, soonDrained+"\nadmin: "+s.own(machine, "9702"))
	}
	leases := bus.NewBucket[bus.Lease](control, bus.Relays)
	for region := range where {
		name := "relay-" + region + "-1"
		testnet.Eventually(t, name+" has its lease", func() error {
			l, _, err := leases.Get(t.Context(), name)
			if err == nil && (l.Region != region || len(l.Addrs) != 1 || l.Addrs[0] != name+".localhost:"+s.ports["443"]) {
				err = fmt.Errorf("it says %+v", l)
			}
			return err
		})
	}
}

package bus_test

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"trunkline/internal/bus"
)

func TestConfigFromYAML(t *testing.T) {
	const doc = `
listen: 10.0.0.1:4222
cert_file: bus.pem
key_file: bus.key
logins:
  - {user: first, password_file: first.password, relay: relay-1}
`
	var c bus.Config
	d := yaml.NewDecoder(strings.NewReader(doc))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil {
		t.Fatal(err)
	}
	if c.Listen != "10.0.0.1:4222" || c.CertFile != "bus.pem" || len(c.Logins) != 1 || c.Logins[0].Relay != "relay-1" {
		t.Errorf("read %+v", c)
	}
	if err := yaml.Unmarshal([]byte("logins: [{user: u, relay: '*'}]"), &c); err == nil {
		t.Error("a relay named * is accepted")
	}
}

package configs_test

import (
	"bytes"
	"os"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"trunkline/internal/service"
)

// Whatever a file says, it is refused, or what it means can be written down and
// means the same again: the demo writes files for its processes so.
func FuzzConfigs(f *testing.F) {
	for _, e := range examples {
		b, err := os.ReadFile(e.file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(uncommented(b))
	}
	f.Add([]byte("relay:\n  edge: {trusted_proxies: [10.0.0.0/8, 'fd00::/8'], limits: {idle: 1h30m}}\n"))
	f.Add([]byte("bus: {listen: ':4222', logins: [{user: a, password_file: b, relay: c}]}\n"))
	f.Add([]byte("a: &a [*a]\nzone: 1\n"))
	f.Add([]byte("port: 0x1F90\nadmin: ''\ndrain: {deadline: 1e3s}\n---\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, e := range examples {
			got := e.config()
			reflect.ValueOf(got).Elem().Set(reflect.ValueOf(e.dflt))
			if service.DecodeYAML(bytes.NewReader(text), got) != nil {
				continue
			}
			if err := got.(interface{ Validate() error }).Validate(); err != nil {
				if strings.TrimSpace(err.Error()) == "" {
					t.Fatalf("%s: refused without a reason", e.file)
				}
				continue
			}
			b, err := yaml.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			again := e.config()
			if err := service.DecodeYAML(bytes.NewReader(b), again); err != nil {
				// An absent serial number is no serial number.
				if e.file == "agent.yaml" {
					continue
				}
				t.Fatalf("%s: %v in\n%s", e.file, err, b)
			}
			if d := diff(reflect.ValueOf(got).Elem().Interface(), again); d != "" {
				t.Fatalf("%s: -read +read again:\n%s", e.file, d)
			}
		}
	})
}

// Package configs_test keeps the example files true: what stands commented out
// in them is what holds without them.
package configs_test

import (
	"bytes"
	"encoding"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"

	"trunkline/agent"
	"trunkline/cmd/trunkline/up"
	"trunkline/control"
	"trunkline/internal/bus"
	"trunkline/internal/service"
	"trunkline/relay"
)

// example is one file and the configuration it is of.
type example struct {
	file    string
	config  func() any // pointer to a zero one
	dflt    any
	without []string // keys that have no place in it, and sections of them
}

var examples = []example{
	{"agent.yaml", func() any { return new(agent.Config) }, agent.Default(), nil},
	{"control.yaml", func() any { return new(control.Config) }, control.Default(), nil},
	// A relay dials; nobody dials it.
	{"relay.yaml", func() any { return new(relay.Config) }, relay.Default(), []string{"bus.listen", "bus.logins"}},
	{"up.yaml", func() any { return new(up.Config) }, up.Default(), saidAtTheTop},
}

// saidAtTheTop are the planes' keys that up takes from elsewhere in its file.
var saidAtTheTop = []string{
	"control.data", "control.listen", "control.zone", "control.port", "control.cert_file", "control.key_file", "control.ca_dir",
	"control.proxy_protocol", "control.bus", "control.log", "relay.listen", "relay.zone", "relay.ca_dir", "relay.bus", "relay.log",
}

// A setting is "#key:" or, in a section, "#" and an even number of spaces;
// prose is "# " and something.
var setting = regexp.MustCompile(`(?m)^#((?:  )*)([a-z][a-z0-9_]*:.*)$`)

func uncommented(b []byte) []byte { return setting.ReplaceAll(b, []byte("$1$2")) }

func each(t *testing.T, f func(t *testing.T, e example, text []byte)) {
	for _, e := range examples {
		t.Run(e.file, func(t *testing.T) {
			b, err := os.ReadFile(e.file)
			if err != nil {
				t.Fatal(err)
			}
			f(t, e, b)
		})
	}
}

func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := service.DecodeYAML(bytes.NewReader(text), into); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
}

func diff(want, got any) string {
	return cmp.Diff(want, reflect.ValueOf(got).Elem().Interface(), cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Prefix{}))
}

// As it stands, a file changes nothing.
func TestAsItStands(t *testing.T) {
	each(t, func(t *testing.T, e example, text []byte) {
		got := e.config()
		decode(t, text, got)
		if !reflect.ValueOf(got).Elem().IsZero() {
			t.Errorf("it sets something: %+v", got)
		}
	})
}

// Loaded over nothing, the settings together are Default(): none is wrong, and
// none with a default is missing.
func TestSettingsAreTheDefaults(t *testing.T) {
	each(t, func(t *testing.T, e example, text []byte) {
		got := e.config()
		decode(t, uncommented(text), got)
		if d := diff(e.dflt, got); d != "" {
			t.Errorf("-Default() +file:\n%s", d)
		}
	})
}

// Whoever uncomments one setting and its section gets Default().
func TestEachSettingAlone(t *testing.T) {
	each(t, func(t *testing.T, e example, text []byte) {
		var section []string // the settings above the present one, by depth
		for _, m := range setting.FindAllSubmatch(text, -1) {
			depth := len(m[1]) / 2
			if depth > len(section) {
				t.Fatalf("%s is in no section", m[2])
			}
			section = append(section[:depth], string(m[1])+string(m[2]))
			got := e.config()
			reflect.ValueOf(got).Elem().Set(reflect.ValueOf(e.dflt))
			decode(t, []byte(strings.Join(section, "\n")), got)
			if d := diff(e.dflt, got); d != "" {
				t.Errorf("%s alone, -Default() +file:\n%s", m[2], d)
			}
		}
	})
}

// Every key that a daemon reads is in its file, once, under a comment.
func TestNoKeyIsMissing(t *testing.T) {
	each(t, func(t *testing.T, e example, text []byte) {
		var want []string
		keys(reflect.TypeOf(e.dflt), "", func(key string) {
			if !slices.ContainsFunc(e.without, func(w string) bool { return key == w || strings.HasPrefix(key, w+".") }) {
				want = append(want, key)
			}
		})
		var root yaml.Node
		if err := yaml.Unmarshal(uncommented(text), &root); err != nil {
			t.Fatal(err)
		}
		var have []string
		leaves(root.Content[0], "", func(key string) { have = append(have, key) })
		slices.Sort(want)
		slices.Sort(have)
		if d := cmp.Diff(want, have); d != "" {
			t.Errorf("-configuration +file:\n%s", d)
		}
	})
}

// Every setting has a sentence; a pair of files may share one.
func TestEverySettingIsExplained(t *testing.T) {
	pairs := regexp.MustCompile(`^#\s*(key_file|user|password_file|device|serial|peer|role|model|firmware|log|portal|license_key):`)
	each(t, func(t *testing.T, e example, text []byte) {
		lines := strings.Split(string(text), "\n")
		for i, line := range lines {
			if setting.MatchString(line) && !pairs.MatchString(line) && (i == 0 || !strings.HasPrefix(lines[i-1], "# ")) {
				t.Errorf("line %d has no comment above it: %s", i+1, line)
			}
		}
	})
}

// keys calls f with each YAML key below a struct type.
func keys(typ reflect.Type, prefix string, f func(string)) {
	text := reflect.TypeFor[encoding.TextUnmarshaler]()
	for field := range typ.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		switch {
		case name == "-":
		case name == "":
			f(prefix + field.Name + " (has no yaml tag)")
		case field.Type.Kind() == reflect.Struct && !reflect.PointerTo(field.Type).Implements(text):
			keys(field.Type, prefix+name+".", f)
		default:
			f(prefix + name)
		}
	}
}

func leaves(n *yaml.Node, prefix string, f func(string)) {
	for i := 0; i < len(n.Content); i += 2 {
		key, value := prefix+n.Content[i].Value, n.Content[i+1]
		if value.Kind == yaml.MappingNode && len(value.Content) > 0 {
			leaves(value, key+".", f)
		} else {
			f(key)
		}
	}
}

// The file of a single process says which key to use instead.
func TestUpRefusesWhatItWouldIgnore(t *testing.T) {
	value := map[string]string{"port": "1", "bus": "{url: 'nats://x:1'}", "log": "{level: info}", "proxy_protocol": "[127.0.0.0/8]"}
	for _, key := range saidAtTheTop {
		section, name, _ := strings.Cut(key, ".")
		v := value[name]
		if v == "" {
			v = "localhost" // not even what it is anyway
		}
		c := up.Default()
		decode(t, []byte(section+": {"+name+": "+v+"}"), &c)
		err := c.Validate()
		if err == nil || !strings.HasPrefix(err.Error(), key+": has no effect in this file; use ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", key, err)
		}
	}
	if err := up.Default().Validate(); err != nil {
		t.Error(err)
	}
}

// The login that a comment shows is one.
func TestLoginExample(t *testing.T) {
	for _, file := range []string{"up.yaml", "control.yaml"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		shown := regexp.MustCompile(`(?m)^# +(\{user: .*\})$`).FindSubmatch(b)
		if shown == nil {
			t.Fatalf("%s shows no login", file)
		}
		var l bus.Login
		decode(t, shown[1], &l)
		if want := (bus.Login{User: "relay-2", PasswordFile: "/etc/trunkline/relay-2.password", Relay: "relay-2"}); l != want {
			t.Errorf("%s shows %+v", file, l)
		}
	}
}

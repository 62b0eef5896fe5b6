package agent_test

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trunkline/agent"
	"trunkline/internal/service"
)

const example = "../configs/agent.yaml"

// The example says what holds without it: its commented keys are the defaults,
// and as it stands it changes nothing.
func TestExampleConfigIsTheDefault(t *testing.T) {
	b, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	load := func(text []byte) (c agent.Config) {
		if err := service.DecodeYAML(bytes.NewReader(text), &c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	setting := regexp.MustCompile(`(?m)^#(\w|  )`)
	got := load(setting.ReplaceAll(b, []byte("$1")))
	want := agent.Default()
	want.Portal.Aliases, want.Device.Extensions = []string{}, []string{}
	want.Page.Hosts, want.Standby.Command, want.Portal.Account.Command = []string{}, []string{}, []string{}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the commented defaults are not Default():\n%s", d)
	}
	if d := cmp.Diff(agent.Config{}, load(b)); d != "" {
		t.Errorf("the example sets something:\n%s", d)
	}
	if err := want.Validate(); err != nil {
		t.Error(err)
	}
}

func TestValidateNamesTheKey(t *testing.T) {
	for key, spoil := range map[string]func(*agent.Config){
		"data":                func(c *agent.Config) { c.Data = "" },
		"server":              func(c *agent.Config) { c.Server = "http://console.example.com" },
		"device.serial":       func(c *agent.Config) { c.Device.Serial = "a b" },
		"portal.url":          func(c *agent.Config) { c.Portal.URL = "127.0.0.1:8088" },
		"portal.aliases":      func(c *agent.Config) { c.Portal.Aliases = []string{"https://pbx.lan/admin"} },
		"portal.pin":          func(c *agent.Config) { c.Portal.Pin = "abc" },
		"portal.dial_timeout": func(c *agent.Config) { c.Portal.DialTimeout = 0 },
		"portal.account":      func(c *agent.Config) { c.Portal.Account.Command = []string{"tell-pbx"} },
		"portal.max_streams":  func(c *agent.Config) { c.Portal.MaxStreams = 0 },
		"admin":               func(c *agent.Config) { c.Admin = "9703" },
	} {
		c := agent.Default()
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), key+": ") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// Whatever the file says, the agent starts with a valid configuration or says
// what is wrong.
func FuzzConfig(f *testing.F) {
	b, err := os.ReadFile(example)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("portal: {url: 'https://[::1]:8088', pin: '" + strings.Repeat("ab:", 31) + "ab'}\n"))
	f.Add([]byte("portal:\n  aliases: [http://a, https://b:1]\n"))
	f.Add([]byte("data: [\n"))
	f.Add([]byte("admin: off\n---\nadmin: x\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := agent.Default()
		if service.DecodeYAML(bytes.NewReader(b), &c) != nil || c.Validate() != nil {
			return
		}
		for _, o := range append(c.Portal.Aliases, c.Portal.URL) {
			if o == "" {
				continue
			}
			once, err := agent.OriginForTest(o)
			if err != nil {
				t.Fatalf("valid configuration, but %q: %v", o, err)
			}
			if twice, err := agent.OriginForTest(once); err != nil || twice != once {
				t.Fatalf("%q became %q and then %q, %v", o, once, twice, err)
			}
		}
	})
}

//go:build unix

package account_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trunkline/agent/account"
)

// telling is a PBX's program, whose text is a shell's; what it wrote to $1 is
// given back.
func telling(t *testing.T, text string, timeout time.Duration, w account.Word) (wrote string, err error) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	err = account.Config{Command: []string{"/bin/sh", "-c", text, "sh", out}, Timeout: timeout}.Tell(t.Context(), w)
	b, _ := os.ReadFile(out) // "" if it wrote nothing
	return string(b), err
}

// The program gets one JSON object on its standard input, and the password
// nowhere else.
func TestWord(t *testing.T) {
	const hard = `p"a\ss<&>wörd`
	for _, c := range []struct {
		word account.Word
		want map[string]any
	}{
		{account.Word{User: "support", Password: hard},
			map[string]any{"version": 1.0, "user": "support", "password": hard, "role": "administrator"}},
		{account.Word{User: "support", Password: hard, Was: "remote", Doubt: []string{"a", "b"}},
			map[string]any{"version": 1.0, "user": "support", "password": hard, "role": "administrator", "was": "remote", "doubt": []any{"a", "b"}}},
		{account.Word{Was: "support"}, map[string]any{"version": 1.0, "user": "", "was": "support"}},
		{account.Word{}, map[string]any{"version": 1.0, "user": ""}},
	} {
		wrote, err := telling(t, `cat >"$1"`, time.Minute, c.word)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(wrote), &got); err != nil || strings.Count(wrote, "\n") != 1 || strings.Contains(wrote, `\u003c`) {
			t.Errorf("%q: %v", wrote, err)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	}
	wrote, err := telling(t, `cat /proc/$$/cmdline >"$1" 2>/dev/null || ps -o args= -p $$ >"$1"; env >>"$1"`, time.Minute, account.Word{User: "support", Password: "sesame-sesame"})
	if err != nil || !strings.Contains(wrote, "PATH=") || strings.Contains(wrote, "sesame") {
		t.Errorf("%v\n%s", err, wrote)
	}
}

// What a program says of its failure is shown, whatever it says; and whether
// the PBX may have changed.
func TestFailures(t *testing.T) {
	w := account.Word{User: "support", Password: `sesame"<1>`}
	f := func(text, want string, unknown bool) {
		t.Helper()
		_, err := telling(t, text, 2*time.Second, w)
		var e *account.Error
		if !errors.As(err, &e) || !strings.Contains(e.Words, want) || e.Unknown != unknown || len(e.Words) > 1000 || strings.Contains(e.Words, "sesame") {
			t.Errorf("%.80s: %q, unknown %v", text, err, unknown)
		}
		for _, r := range e.Error() {
			if r < ' ' || r == 0x1b || r == 0xfffd {
				t.Errorf("%.80s: %q is not printable", text, err)
			}
		}
	}
	f(`exit 3`, "/bin/sh ended with exit status 3 and said nothing", false)
	f(`echo first >&2; echo "the PBX says no" >&2; exit 1`, "said: the PBX says no", false)
	f(`printf 'a\033[31mred\033[0m\r\000\377\302\205b\n' >&2; exit 1`, "[31mred", false)
	f(`head -c 5000000 /dev/zero | tr '\0' 'x' >&2; exit 1`, "said nothing", false)
	f(`head -c 3000 /dev/zero | tr '\0' 'x' >&2; exit 1`, "xxx...", false)
	f(`yes no >&2`, "ended after 2s and said: no", true)
	f(`cat >&2; exit 1`, `"password":"(the password)"`, false)
	f(`echo 'sesame"<1> is bad' >&2; exit 1`, "said: (the password) is bad", false)
	f(`sleep 300`, "ended after 2s", true)
	f(`kill -9 $$`, "ended by a signal", true)
	err := account.Config{Command: []string{"/nowhere/at/all"}, Timeout: time.Second}.Tell(t.Context(), w)
	var e *account.Error
	if !errors.As(err, &e) || e.Unknown || !strings.Contains(e.Words, "/nowhere/at/all") {
		t.Errorf("%v", err)
	}
}

func TestConfig(t *testing.T) {
	for name, c := range map[string]account.Config{
		"a relative path": {Command: []string{"tell"}, Timeout: time.Second},
		"no time":         {Command: []string{"/bin/tell"}},
		"too much time":   {Timeout: time.Minute},
	} {
		if c.Validate() == nil {
			t.Errorf("%s is valid", name)
		}
	}
	if c := account.Default(); c.Validate() != nil || c.Tells() {
		t.Errorf("%+v", c)
	}
}

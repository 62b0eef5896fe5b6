package agent_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"trunkline/agent"
)

// open is why an agent does not start on data, or starts and cannot connect.
func open(data string) error {
	c := agent.Default()
	c.Data = data
	a, err := agent.New(c, zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		return err
	}
	if s := a.Status(); s.State != agent.Connecting {
		return errors.Join(errors.New(s.Reason), a.Close())
	}
	return a.Close()
}

func TestFilesArePrivate(t *testing.T) {
	data := filepath.Join(t.TempDir(), "new")
	agent.StoreForTest(t, data, identity())
	for name, want := range map[string]os.FileMode{"": 0o700, "device.key": 0o600, "identity.json": 0o600, "lock": 0o600} {
		info, err := os.Stat(filepath.Join(data, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
}

// Power failed while a new identity was written: the old one is there.
func TestHalfWrittenFileIsNotSeen(t *testing.T) {
	data := t.TempDir()
	agent.StoreForTest(t, data, identity())
	if err := os.WriteFile(filepath.Join(data, ".identity.json.new"), []byte(`{"version": 1, "dev`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(data); err != nil {
		t.Error(err)
	}
	next := identity()
	next.Name = "Back office"
	agent.StoreForTest(t, data, next)
	if i, err := agent.LoadForTest(data); err != nil || i.Name != next.Name {
		t.Errorf("%q, %v", i.Name, err)
	}
}

func TestDamagedFilesSayWhatToDo(t *testing.T) {
	f := func(name, damage string, mode os.FileMode, want ...string) {
		t.Helper()
		data := t.TempDir()
		agent.StoreForTest(t, data, identity())
		path := filepath.Join(data, name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		switch damage {
		case "truncated":
			b = b[:len(b)/2]
		case "empty":
			b = nil
		case "garbage":
			b = []byte("\x00\x01\x02")
		case "huge":
			b = make([]byte, 1<<20)
		}
		if err := errors.Join(os.Remove(path), os.WriteFile(path, b, mode), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		err = open(data)
		if err == nil {
			t.Errorf("%s %s: taken", damage, name)
			return
		}
		for _, w := range append(want, name) {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s %s: %q lacks %q", damage, name, err, w)
			}
		}
		if strings.Contains(err.Error(), "pass-0") {
			t.Errorf("the pass is in %q", err)
		}
	}
	for _, damage := range []string{"truncated", "empty", "garbage"} {
		f("identity.json", damage, 0o600, "this PBX again", "same device")
		f("device.key", damage, 0o600, "backup", "this PBX again")
	}
	f("identity.json", "huge", 0o600, "larger")
	// A key that others may read is no proof of anything.
	f("device.key", "", 0o640, "0640", "chmod 600")
	f("device.key", "", 0o604, "chmod 600")
	f("identity.json", "", 0o644, "chmod 600")
}

func TestDirectoryStates(t *testing.T) {
	empty := t.TempDir()
	if err := open(empty); err == nil || !strings.Contains(err.Error(), "not connected to a provider yet") {
		t.Errorf("empty: %v", err)
	}
	shared := t.TempDir()
	if err := os.Chmod(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := open(shared); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("world-writable: %v", err)
	}
	keyless := t.TempDir()
	agent.StoreForTest(t, keyless, identity())
	if err := os.Remove(filepath.Join(keyless, "device.key")); err != nil {
		t.Fatal(err)
	}
	if err := open(keyless); err == nil || !strings.Contains(err.Error(), "this PBX again") {
		t.Errorf("no key: %v", err)
	}
}

func TestOneAgentPerDirectory(t *testing.T) {
	data := t.TempDir()
	agent.StoreForTest(t, data, identity())
	c := agent.Default()
	c.Data = data
	a, err := agent.New(c, zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	if err := open(data); !errors.Is(err, agent.ErrBusy) {
		t.Errorf("second agent: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(data); err != nil {
		t.Errorf("after the first is gone: %v", err)
	}
}

// Whatever is in the file, it is taken as it stands or not at all.
func FuzzIdentity(f *testing.F) {
	b, err := json.Marshal(identity())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Add([]byte(`{"version":1,"server":"https://c","serial":"ABCD","device":"dev_0123456789abcdef","site":"a","relays":[":1"]}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := agent.ParseIdentityForTest(b)
		if err != nil {
			if d := cmp.Diff(agent.Identity{}, i); d != "" {
				t.Fatalf("an error and this:\n%s", d)
			}
			return
		}
		again, err := json.Marshal(i)
		if err != nil {
			t.Fatal(err)
		}
		j, err := agent.ParseIdentityForTest(again)
		if d := cmp.Diff(i, j); d != "" || err != nil {
			t.Fatalf("does not survive being stored: %v\n%s", err, d)
		}
	})
}

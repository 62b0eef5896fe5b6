package standby_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"trunkline/agent/standby"
	"trunkline/internal/tunnel"
)

// desk is where a source's records go.
type desk struct {
	standby.Record
	err error
}

func (d *desk) save(r standby.Record) error {
	if d.err == nil {
		d.Record = r
	}
	return d.err
}

func conf(change func(*standby.Config)) standby.Config {
	c := standby.Default()
	change(&c)
	return c
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

const one = `{"enabled": true, "type": "primary", "peer": "sn-0002", "role": "active"}`

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "facts")
	d := &desk{}
	s := standby.New(conf(func(c *standby.Config) { c.File = path }), standby.Record{}, d.save, zaptest.NewLogger(t))
	if s.Look(t.Context()) || s.Current() != nil {
		t.Error("no file is no facts")
	}
	write(t, path, one)
	if !s.Look(t.Context()) || s.Current().Peer != "SN-0002" || s.Current().Role != "active" || d.Standby.Claim == 0 {
		t.Errorf("%+v", s.Current())
	}
	first := s.Current().Claim
	if s.Look(t.Context()) {
		t.Error("nothing has changed")
	}
	write(t, path, "enabled: true\ntype: primary\npeer: SN-0002\nrole: standby\n")
	if !s.Look(t.Context()) || s.Current().Role != "standby" || s.Current().Claim <= first {
		t.Errorf("%+v", s.Current())
	}
	last := *s.Current()
	for _, bad := range []string{"", "{", "enabled: maybe", "enabled: true\ntype: third\npeer: SN-0002\nrole: active", "enabled: true\nrolle: x",
		"role: active\n", "# written in a moment\n", "{}", `{"enabled":true,"type":"primary","role":"active","peer":"../../etc"}`, strings.Repeat("#", 20<<10), one + "\n" + strings.Repeat(" ", 17<<10)} {
		write(t, path, bad)
		if s.Look(t.Context()) || *s.Current() != last {
			t.Errorf("%.40q: %+v", bad, s.Current())
		}
	}
	if err := os.Remove(path); err != nil || s.Look(t.Context()) || *s.Current() != last {
		t.Errorf("the file is gone for a moment: %+v, %v", s.Current(), err)
	}
	write(t, path, "enabled: false")
	if !s.Look(t.Context()) || s.Current() != nil {
		t.Errorf("%+v", s.Current())
	}
}

// The claim outlives a restart, a clock that was set back, and a full disk.
func TestClaimNeverFalls(t *testing.T) {
	path := filepath.Join(t.TempDir(), "facts")
	future := uint64(time.Now().Add(24 * time.Hour).UnixMilli())
	d := &desk{Record: standby.Record{Standby: &tunnel.Standby{Type: "primary", Role: "standby", Peer: "SN-0002", Claim: future}}}
	s := standby.New(conf(func(c *standby.Config) { c.File = path }), d.Record, d.save, zaptest.NewLogger(t))
	if s.Current().Claim != future {
		t.Errorf("%+v", s.Current())
	}
	write(t, path, one)
	d.err = errors.New("disk full")
	if s.Look(t.Context()) || s.Current().Role != "standby" {
		t.Errorf("a claim is used that was not kept: %+v", s.Current())
	}
	d.err = nil
	if !s.Look(t.Context()) || s.Current().Claim != future+1 || d.Standby.Claim != future+1 {
		t.Errorf("%+v", s.Current())
	}
	write(t, path, `{"enabled":true,"type":"primary","peer":"SN-0002","role":"standby","claim":7}`)
	if !s.Look(t.Context()) || s.Current().Claim != future+1 {
		t.Errorf("the PBX's own number is older: %+v", s.Current())
	}
}

func TestCommand(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "facts.sh")
	run := func(text string) (*standby.Source, bool) {
		t.Helper()
		if err := os.WriteFile(script, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
			t.Fatal(err)
		}
		d := &desk{}
		s := standby.New(conf(func(c *standby.Config) { c.Command, c.Timeout = []string{"/bin/sh", script}, 300*time.Millisecond }), standby.Record{}, d.save, zaptest.NewLogger(t))
		return s, s.Look(t.Context())
	}
	if s, ok := run("echo '" + one + "'"); !ok || s.Current().Type != "primary" {
		t.Errorf("%+v", s.Current())
	}
	for _, bad := range []string{"exit 1", "echo '" + one + "'; exit 3", "echo nonsense", "yes", "sleep 60", "sleep 60 & echo '{'"} {
		began := time.Now()
		if s, ok := run(bad); ok || s.Current() != nil {
			t.Errorf("%q: %+v", bad, s.Current())
		}
		if time.Since(began) > 20*time.Second {
			t.Errorf("%q was waited for", bad)
		}
	}
}

func TestConfig(t *testing.T) {
	for name, c := range map[string]standby.Config{
		"two sources":   conf(func(c *standby.Config) { c.Type, c.Peer, c.Role, c.File = "primary", "SN-0002", "active", "/x" }),
		"no type":       conf(func(c *standby.Config) { c.Peer = "SN-0002" }),
		"wrong role":    conf(func(c *standby.Config) { c.Type, c.Peer, c.Role = "primary", "SN-0002", "boss" }),
		"no peer":       conf(func(c *standby.Config) { c.Type, c.Role = "primary", "active" }),
		"relative file": conf(func(c *standby.Config) { c.File = "facts" }),
		"too often":     conf(func(c *standby.Config) { c.File, c.Every = "/x", time.Millisecond }),
	} {
		if c.Validate() == nil {
			t.Errorf("%s is valid", name)
		}
	}
	static := conf(func(c *standby.Config) { c.Type, c.Peer, c.Role = "secondary", "SN-0001", "standby" })
	d := &desk{}
	s := standby.New(static, standby.Record{}, d.save, zaptest.NewLogger(t))
	if err := static.Validate(); err != nil || !s.Look(t.Context()) || s.Current().Type != "secondary" || s.Look(t.Context()) {
		t.Errorf("%+v, %v", s.Current(), err)
	}
}

// A PBX that was single for a while goes on numbering where it was, whatever
// became of its clock.
func TestClaimOutlivesThePair(t *testing.T) {
	path := filepath.Join(t.TempDir(), "facts")
	ahead := uint64(time.Now().Add(time.Hour).UnixMilli())
	d := &desk{Record: standby.Record{Standby: &tunnel.Standby{Type: "primary", Role: "active", Peer: "SN-0002", Claim: ahead}}}
	for _, text := range []string{"enabled: false", one} {
		write(t, path, text)
		s := standby.New(conf(func(c *standby.Config) { c.File = path }), d.Record, d.save, zaptest.NewLogger(t))
		if !s.Look(t.Context()) {
			t.Fatalf("%s: no news", text)
		}
	}
	if d.Standby.Claim <= ahead {
		t.Errorf("%d after %d", d.Standby.Claim, ahead)
	}
}

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fake is a program that says something and exits.
func fake(t *testing.T, dir, name, says string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte("#!/bin/sh\necho '"+says+"'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

// A program is where its flag says, else on PATH; what is nowhere is named.
func TestFindPeers(t *testing.T) {
	path, other := t.TempDir(), t.TempDir()
	t.Setenv("PATH", path)
	server, client := fake(t, path, "frps", ""), fake(t, other, "my-frpc", "")
	nothing := ""
	o := options{peers: map[string]*string{"frps": &nothing, "frpc": &client}}
	bin, err := o.find([]string{"frps", "frpc"})
	if err != nil || bin[0] != server || bin[1] != client {
		t.Errorf("%v, %v", bin, err)
	}
	if _, err := o.find([]string{"frps", "piko"}); err == nil || !strings.Contains(err.Error(), "--piko") {
		t.Errorf("without piko: %v", err)
	}
}

func TestPeerVersion(t *testing.T) {
	dir := t.TempDir()
	for says, want := range map[string]string{
		"0.70.1": "0.70.1", "piko version v0.8.2": "v0.8.2", "piko version unknown": "of unknown version", "": "of unknown version",
	} {
		if got := peerVersion(t.Context(), fake(t, dir, "program", says)); got != want {
			t.Errorf("%q: %q", says, got)
		}
	}
}

// Every peer has a flag for each of its programs.
func TestPeerFlags(t *testing.T) {
	flags := root().Flags()
	for _, name := range peerPrograms() {
		if flags.Lookup(name) == nil {
			t.Errorf("no flag --%s", name)
		}
	}
}

// Peers that are missing are said to be not measured, and nothing else is wrong.
func TestMissingPeers(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	var r report
	got, err := startPeers(t.Context(), &world{}, &r, "")
	if err != nil || len(got) != 0 || len(r.absent) != len(peers) {
		t.Errorf("%v, %v, %q", got, err, r.absent)
	}
	var out bytes.Buffer
	r.table(&out)
	for _, want := range []string{"frp, frp-tcp: not measured", "rathole-tcp: not measured"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, &out)
		}
	}
}

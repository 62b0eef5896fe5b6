package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// What is committed is what the code makes.
func TestGenerated(t *testing.T) {
	files, err := generated()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the code makes: run make dashboards", name)
		}
	}
	on, err := filepath.Glob("json/*.json")
	if err != nil || len(on) != len(all()) {
		t.Errorf("json/ has %v (%v), and there are %d dashboards", on, err, len(all()))
	}
}

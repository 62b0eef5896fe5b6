package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var (
	pinned  = regexp.MustCompile(`^[a-z0-9/-]+@[0-9a-f]{40}$`)
	imageAt = regexp.MustCompile(`^[a-z]+:\d+\.\d+\.\d+-[a-z]+$`)
	target  = regexp.MustCompile(`(?m)^([a-z0-9-]+):`)
	makes   = regexp.MustCompile(`^make ([a-z0-9-]+)$`)
)

// What runs in CI runs anywhere: the workflows do nothing but call make, and
// what they take from elsewhere is named exactly.
func TestWorkflows(t *testing.T) {
	var targets []string
	for _, m := range target.FindAllStringSubmatch(text(t, "../Makefile"), -1) {
		targets = append(targets, m[1])
	}
	runs := func(line string) {
		t.Helper()
		if m := makes.FindStringSubmatch(line); m == nil || !slices.Contains(targets, m[1]) {
			t.Errorf("%q is no target of the Makefile", line)
		}
	}
	var github struct {
		Jobs map[string]struct {
			Steps []struct{ Uses, Run string }
		}
	}
	if err := yaml.Unmarshal([]byte(text(t, "../.github/workflows/bench.yml")), &github); err != nil {
		t.Fatal(err)
	}
	steps := github.Jobs["bench-ci"].Steps
	if len(steps) < 4 {
		t.Errorf("%d steps", len(steps))
	}
	for _, s := range steps {
		if s.Run != "" {
			runs(s.Run)
		} else if !pinned.MatchString(s.Uses) {
			t.Errorf("%q is not pinned to a commit", s.Uses)
		}
	}
	var gitlab map[string]struct {
		Image  string
		Script []string
	}
	if err := yaml.Unmarshal([]byte(text(t, "../.gitlab-ci.yml")), &gitlab); err != nil {
		t.Fatal(err)
	}
	job := gitlab["bench-ci"]
	if !imageAt.MatchString(job.Image) || len(job.Script) == 0 {
		t.Errorf("image %q, script %q", job.Image, job.Script)
	}
	for _, line := range job.Script {
		runs(line)
	}
	for _, file := range []string{"../.github/workflows/bench.yml", "../.gitlab-ci.yml"} {
		for _, variable := range []string{"BASE", "BENCH_HISTORY"} {
			if !strings.Contains(text(t, file), variable+":") || !strings.Contains(text(t, "../Makefile"), variable) {
				t.Errorf("%s or the Makefile does not know %s", file, variable)
			}
		}
	}
}

func text(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

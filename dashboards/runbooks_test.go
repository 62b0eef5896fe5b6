package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	emphasis = regexp.MustCompile(`\*([^*]+)\*`)
	snake    = regexp.MustCompile("`([a-z]+(?:_[a-z]+)+)`")
	boardsIn = regexp.MustCompile(`[Dd]ashboard ([A-Z][a-z]+(?: relay)?)`)
)

// Who is woken at night looks for nothing that is not there: a runbook's panels
// are on the dashboard that it names before them, in italics, and its codes,
// metrics and settings are known to the reference, the API or an example file.
func TestRunbooksNameWhatThereIs(t *testing.T) {
	titles := make(map[string][]string)
	for _, b := range boards(t) {
		name := strings.TrimPrefix(b.Title, "Trunkline / ")
		for _, p := range b.Panels {
			titles[name] = append(titles[name], p.Title)
		}
	}
	known := readAll(t, "../docs/metrics.md") + readAll(t, "../configs/*.yaml") + readAll(t, "../control/api/testdata/openapi.json")
	panels, words := 0, 0
	pages, err := filepath.Glob("../docs/runbooks/Trunkline*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		text := readAll(t, page)
		for line := range strings.SplitSeq(text, "\n") {
			named := boardsIn.FindAllStringSubmatchIndex(line, -1)
			for _, at := range emphasis.FindAllStringSubmatchIndex(line, -1) {
				board, title := "", line[at[2]:at[3]]
				for _, b := range named {
					if b[0] < at[0] {
						board = line[b[2]:b[3]]
					}
				}
				if panels++; !slices.Contains(titles[board], title) {
					t.Errorf("%s: dashboard %q has no panel %q", filepath.Base(page), board, title)
				}
			}
			if len(named) > 0 && !emphasis.MatchString(line) {
				t.Errorf("%s: no panel in italics in %q", filepath.Base(page), line)
			}
		}
		for _, m := range snake.FindAllStringSubmatch(text, -1) {
			if words++; !strings.Contains(known, m[1]) {
				t.Errorf("%s: nothing is called %s", filepath.Base(page), m[1])
			}
		}
	}
	if panels < 20 || words < 20 {
		t.Errorf("%d panels and %d words were found", panels, words)
	}
}

// readAll is the text of every file that matches.
func readAll(t *testing.T, pattern string) string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: no file, %v", pattern, err)
	}
	var all strings.Builder
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

package walk_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// document is a text with commands to type.
type document struct {
	t    *testing.T
	name string
	text string
}

// section is the part of a document from a heading to the next one of its rank.
func section(t *testing.T, file, heading string) document {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(b), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("%s has no %q", file, heading)
	}
	rank, _, _ := strings.Cut(heading, " ")
	text, _, _ = strings.Cut(text, "\n"+rank+" ")
	return document{t, file, text}
}

// linked is the section that a document sends its readers to, as its link stands there.
func linked(t *testing.T, from, to string) document {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), "]("+to+")") {
		t.Fatalf("%s has no link to %s: nobody finds the way there", from, to)
	}
	file, anchor, _ := strings.Cut(to, "#")
	return section(t, filepath.Join(filepath.Dir(from), file), "## "+strings.ToUpper(anchor[:1])+strings.ReplaceAll(anchor[1:], "-", " "))
}

var fenced = regexp.MustCompile("(?s)\n```\n(.*?)\n```\n")

// blocks are the commands that stand in blocks of their own; want is how many the
// test knows what to do with.
func (d document) blocks(want int) (out []string) {
	d.t.Helper()
	for _, m := range fenced.FindAllStringSubmatch(d.text, -1) {
		out = append(out, m[1])
	}
	if len(out) != want {
		d.t.Fatalf("%s has %d blocks of commands and this test knows %d: do in it what the text says now", d.name, len(out), want)
	}
	return out
}

// within is the command in the text that begins so.
func (d document) within(begin string) string {
	d.t.Helper()
	m := regexp.MustCompile("`(" + regexp.QuoteMeta(begin) + "[^`]*)`").FindStringSubmatch(d.text)
	if m == nil {
		d.t.Fatalf("%s names no command that begins with %q", d.name, begin)
	}
	return m[1]
}

// with is a text in which a reader puts in what is theirs, old and new in turn.
func with(t *testing.T, text string, oldNew ...string) string {
	t.Helper()
	for i := 0; i < len(oldNew); i += 2 {
		if !strings.Contains(text, oldNew[i]) {
			t.Fatalf("there is no %q in:\n%s", oldNew[i], text)
		}
		text = strings.ReplaceAll(text, oldNew[i], oldNew[i+1])
	}
	return text
}

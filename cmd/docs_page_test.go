package cmd_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// page is one of docs/, to be followed section by section. Its fenced blocks
// are what the reader types and sees:
//
//	sh           is run, and must exit with 0
//	sh service   is run until the test ends, and must then stop cleanly
//	sh wait      is run again and again until it shows what the page says
//	text         after one of these: what it shows; ... stands for what differs
//
// Others are not run; tests take them out by language, or in some other way.
type page struct {
	t        *testing.T
	name     string
	text     string
	sections map[string][]block // by heading
	left     map[string]bool    // sections with commands that nobody has followed
}

type block struct{ info, text string }

// followPage opens a page that this test follows to its end.
func followPage(t *testing.T, name string) *page {
	t.Helper()
	p := openPage(t, name)
	t.Cleanup(func() {
		for heading := range p.left {
			if !t.Failed() {
				t.Errorf("%s: nobody follows %q", name, heading)
			}
		}
	})
	return p
}

func openPage(t *testing.T, name string) *page {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	p := &page{t: t, name: name, text: string(b), sections: map[string][]block{}, left: map[string]bool{}}
	for _, section := range regexp.MustCompile(`(?m)^#+ `).Split(p.text, -1) {
		heading, text, _ := strings.Cut(section, "\n")
		for _, m := range regexp.MustCompile("(?ms)^```([a-z ]*)\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
			p.sections[heading] = append(p.sections[heading], block{info: m[1], text: m[2]})
			if strings.HasPrefix(m[1], "sh") {
				p.left[heading] = true
			}
		}
	}
	return p
}

// block is the n-th of a section in a language.
func (p *page) block(heading, info string, n int) string {
	p.t.Helper()
	for _, b := range p.sections[heading] {
		if b.info == info {
			if n == 0 {
				return b.text
			}
			n--
		}
	}
	p.t.Fatalf("%s: %q has not enough blocks of %s", p.name, heading, info)
	return ""
}

// follow does on m what a section says, and gives what was shown.
func (p *page) follow(m *machine, heading string) (shown string) {
	p.t.Helper()
	delete(p.left, heading)
	blocks := p.sections[heading]
	if len(blocks) == 0 {
		p.t.Fatalf("%s: nothing to follow in %q", p.name, heading)
	}
	for i, b := range blocks {
		want := "..."
		if i+1 < len(blocks) && blocks[i+1].info == "text" {
			want = blocks[i+1].text
		}
		switch b.info {
		case "sh":
			out, err := m.run(b.text)
			if err != nil || !looksLike(out, want) {
				p.t.Fatalf("%s: %s%v, and shows\n%swant\n%s", p.name, b.text, err, out, want)
			}
			shown += out
		case "sh wait":
			out, err := m.run(b.text)
			for late := time.Now().Add(patience); err != nil || !looksLike(out, want); out, err = m.run(b.text) {
				if time.Now().After(late) {
					p.t.Fatalf("%s: %s%v, and still shows\n%swant\n%s", p.name, b.text, err, out, want)
				}
			}
			shown += out
		case "sh service":
			m.service(b.text)
		}
	}
	return shown
}

// looksLike: want is out with ... for what differs from time to time.
func looksLike(out, want string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(want)), `\.\.\.`, `.*`)
	return regexp.MustCompile(`(?s)^` + pattern + `$`).MatchString(strings.TrimSpace(out))
}

// machine is where somebody follows a page. What the page names has another
// name there, and what is shown is read with the page's names.
type machine struct {
	t        *testing.T
	root     string // what stands for /
	vars     string // a file with the shell's variables, which outlive a block
	env      []string
	to, back *strings.Replacer
}

// newMachine takes pairs: what the page says, and what it is here.
func newMachine(t *testing.T, env []string, names ...string) *machine {
	t.Helper()
	m := &machine{t: t, root: t.TempDir(), vars: filepath.Join(t.TempDir(), "vars"), env: env}
	for _, dir := range []string{"/etc/", "/run/", "/var/lib/", "/usr/local/bin/"} {
		names = append(names, dir, m.root+dir)
		if err := os.MkdirAll(m.root+dir+"pbx", 0o700); err != nil {
			t.Fatal(err)
		}
	}
	back := make([]string, 0, len(names))
	for i := 0; i < len(names); i += 2 {
		back = append(back, names[i+1], names[i])
	}
	m.to, m.back = strings.NewReplacer(names...), strings.NewReplacer(back...)
	return m
}

// write makes a file that the page names.
func (m *machine) write(path, text string) {
	m.t.Helper()
	path = m.to.Replace(path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		m.t.Fatal(err)
	}
	// As a whole, as the pages ask for.
	if err := os.WriteFile(path+".new", []byte(m.to.Replace(text)), 0o600); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) command(ctx context.Context, script string) *exec.Cmd {
	keep := fmt.Sprintf("test -e %s && . %[1]s; trap 'export -p >%[1]s' EXIT; set -eua\n", m.vars)
	cmd := exec.CommandContext(ctx, "sh", "-c", keep+m.to.Replace(script))
	cmd.Dir, cmd.Env = m.root, append(os.Environ(), m.env...)
	return cmd
}

// run gives what a terminal would show.
func (m *machine) run(script string) (string, error) {
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	out, err := m.command(ctx, script).CombinedOutput()
	return m.back.Replace(string(out)), err
}

// service runs one command until the test ends.
func (m *machine) service(command string) {
	m.t.Helper()
	var said bytes.Buffer
	cmd := m.command(context.WithoutCancel(m.t.Context()), "exec "+command)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || m.t.Failed() {
			m.t.Errorf("%s: %v\n%s", command, err, &said)
		}
	})
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// sources are commits that are checked out and built beside the present ones.
type sources struct {
	dir   string
	say   func(format string, args ...any)
	trees []string // worktrees of the repository, to be taken away
}

// prepare says with which programs to run the base and what is compared with it.
func (s *sources) prepare(ctx context.Context, o options, c ciOptions) (base, now options, err error) {
	commit, now := c.base, o
	if c.patch != "" {
		patch, err := filepath.Abs(c.patch)
		if err != nil {
			return o, o, err
		}
		if now, err = s.build(ctx, o, "patched", "HEAD", patch); err != nil {
			return o, o, err
		}
		commit = "HEAD"
	}
	from, err := run1(ctx, ".", "git", "merge-base", commit, "HEAD")
	if err != nil {
		return o, o, fmt.Errorf("%w; a shallow clone has no base: fetch its whole history", err)
	}
	base, err = s.build(ctx, o, "base", from, "")
	return base, now, err
}

// build makes the programs of a commit as its own Makefile does.
func (s *sources) build(ctx context.Context, o options, name, commit, patch string) (options, error) {
	tree := filepath.Join(s.dir, name)
	s.say("building %s", commit)
	if _, err := run1(ctx, ".", "git", "worktree", "add", "--quiet", "--detach", tree, commit); err != nil {
		return o, err
	}
	s.trees = append(s.trees, tree)
	if patch != "" {
		if _, err := run1(ctx, tree, "git", "apply", patch); err != nil {
			return o, fmt.Errorf("%w; the patch is of other sources: make it anew", err)
		}
	}
	if _, err := run1(ctx, tree, "make", "--no-print-directory", "build"); err != nil {
		return o, err
	}
	o.programs(filepath.Join(tree, "bin"))
	return o, nil
}

// clear takes the worktrees away, and git's notes of them.
func (s *sources) clear(ctx context.Context) error {
	for _, tree := range s.trees {
		if _, err := run1(ctx, ".", "git", "worktree", "remove", "--force", tree); err != nil {
			return err
		}
	}
	return nil
}

// run1 runs a program and returns the line it prints.
func run1(ctx context.Context, dir string, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(argv, " "), err, out, said.Bytes())
	}
	return strings.TrimSpace(string(out)), nil
}

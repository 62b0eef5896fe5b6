package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

// ciOptions are what is special to a comparison with an earlier commit.
type ciOptions struct {
	base    string // a commit
	patch   string // a file: what it does to HEAD is compared with HEAD
	rounds  int
	history string // a file of JSON lines, which grows
	summary string // a file of Markdown, which grows too; empty: none
}

func ciCommand(bin *string) *cobra.Command {
	o, c := defaults(), ciOptions{rounds: 5}
	cmd := &cobra.Command{
		Use: "ci", Short: "Fail if the relay does worse than at an earlier commit, beyond the noise", Args: cobra.NoArgs,
		Long: `Ci builds an earlier commit in a git worktree of its own and runs it twice beside
the present programs: one relay each, which get the same work in turn, A B A', then
A' B A, again and again. How the two equal ones differ is the noise. Counts are
compared, and times and CPU as ratios of the same round.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.programs(*bin)
			return ci(cmd.Context(), o, c)
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.base, "base", "HEAD~1", "commit to compare with: where the present one left it is what counts")
	f.StringVar(&c.patch, "patch", "", "instead, compare HEAD with this patch to HEAD without: is it noticed?")
	f.IntVar(&c.rounds, "rounds", c.rounds, "times that everything is measured")
	f.StringVar(&o.outDir, "out", o.outDir, "directory for ci.md")
	f.StringVar(&c.history, "history", filepath.Join(o.outDir, "history.jsonl"), "file that the result is added to, a line for each run")
	f.StringVar(&c.summary, "summary", "", "file that the table is added to, for example $GITHUB_STEP_SUMMARY")
	f.Func("only", "measure only the probes whose name matches this regular expression", o.setOnly)
	return cmd
}

// ci builds, measures, judges and tells.
func ci(ctx context.Context, o options, c ciOptions) (err error) {
	if c.rounds < 3 {
		return errors.New("--rounds: at least 3, or there is no noise to know")
	}
	dir, err := os.MkdirTemp("", "trunkline-bench-ci-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s := sources{dir: dir, say: o.say}
	defer func() { err = errors.Join(err, s.clear(context.WithoutCancel(ctx))) }()
	base, now, err := s.prepare(ctx, o, c)
	if err != nil {
		return err
	}
	r := &comparison{Time: time.Now().UTC().Truncate(time.Second), Base: base.version(ctx), Now: now.version(ctx), Machine: machineName(), Rounds: c.rounds}
	if c.patch != "" {
		r.Now = r.Base + " with " + filepath.Base(c.patch)
	}
	if r.Results, err = contest(ctx, base, now, c.rounds); err != nil {
		return err
	}
	if err := r.write(o, c); err != nil {
		return err
	}
	if worse := r.of(worseVerdict); len(worse) > 0 {
		return fmt.Errorf("%s got worse since %s, beyond the noise (%s; %d in all)", worse[0].Name, r.Base, worse[0].Unit, len(worse))
	}
	return nil
}

// contest measures both, and what seems to have changed once more: only what
// comes out the same again has.
func contest(ctx context.Context, base, now options, rounds int) (results []judged, err error) {
	base.tunnels, now.tunnels = []int{gateTunnels}, []int{gateTunnels}
	err = inFamily(base, func(base1 options, f1 *family) error {
		return inFamily(base, func(base2 options, f2 *family) error {
			return inFamily(now, func(now options, f3 *family) error {
				a, err := newGateWorld(ctx, base1, f1)
				if err != nil {
					return fmt.Errorf("base: %w", err)
				}
				again, err := newGateWorld(ctx, base2, f2)
				if err != nil {
					return fmt.Errorf("base: %w", err)
				}
				b, err := newGateWorld(ctx, now, f3)
				if err != nil {
					return err
				}
				t := trio{a, b, again}
				results, err = t.compare(ctx, now, rounds)
				return err
			})
		})
	})
	return results, err
}

// trio is the base, what is compared with it, and the base again.
type trio [3]*gateWorld

func (t trio) compare(ctx context.Context, o options, rounds int) ([]judged, error) {
	chosen := slices.DeleteFunc(probes(), func(p probe) bool { return !o.only.MatchString(p.name) })
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no probe is called %s", o.only)
	}
	var results []judged
	for _, p := range chosen {
		o.say("comparing %s", p.name)
		got, err := t.measure(ctx, p, rounds)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(got, func(j judged) bool { return j.Verdict != sameVerdict }) {
			o.say("comparing %s once more", p.name)
			again, err := t.measure(ctx, p, rounds)
			if err != nil {
				return nil, err
			}
			got = confirmed(got, again)
		}
		results = append(results, got...)
	}
	return results, nil
}

// measure takes a probe of each in turn, the first time for nothing: pools fill,
// and the first streams are opened.
func (t trio) measure(ctx context.Context, p probe, rounds int) ([]judged, error) {
	var all series
	for round := range rounds + 1 {
		order := []int{0, 1, 2}
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, who := range order {
			g := t[who]
			g.spent = spent{}
			got, err := p.take(ctx, g)
			if err != nil {
				return nil, errors.Join(fmt.Errorf("%s: %w", p.name, err), g.relay.alive())
			}
			if g.spent.wall > 0 {
				got = append(got, entry{Name: p.name, Unit: unitTime, Value: g.spent.wall.Seconds()})
			}
			if g.spent.cpu > 0 {
				got = append(got, entry{Name: p.name, Unit: unitCPU, Value: g.spent.cpu.Seconds()})
			}
			if round > 0 {
				all.add(who, got)
			}
		}
	}
	return all.judge(), nil
}

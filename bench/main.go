// Bench measures what the relay costs: CPU per request and per gigabyte, beside
// nginx and haproxy in the same run, and memory per idle tunnel. It starts real processes
// (control with the bus in it, a relay of its own, an agent, a portal, nginx),
// loads them, and stops them again.
//
//	make bench                        everything, about half an hour
//	go run ./bench --only conns=64    some figures, by regular expression
//	go run ./bench --quick            does it work? The figures mean little
//	make bench-peers                  beside other tunnels, if they are on PATH
//	make bench-gate                   counts only, seconds: is something worse?
//	make bench-ci                     beside an earlier commit, minutes: likewise
//
// What the figures mean, and how to compare two runs, is in docs/performance.md.
// Bench is not a load test of an installation; cmd/trunkline-loadtest is. What
// makes load is in load, what answers it in portal.
package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"trunkline/internal/service"
)

func main() { os.Exit(service.Main(root())) }

func root() *cobra.Command {
	o := defaults()
	var bin string
	var peers bool
	c := &cobra.Command{
		Use: "bench", Short: "Measure what the relay costs, beside nginx", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.quick {
				o.hurry(c.Flags().Changed)
			}
			if len(o.tunnels) == 0 || min(o.rounds, o.seconds, o.megabytes, slices.Min(o.tunnels)) < 1 {
				return service.Usagef("--rounds, --seconds, --megabytes and --tunnels: at least 1")
			}
			o.programs(bin)
			if !peers {
				o.peers = nil
			}
			if err := run(c.Context(), o); c.Context().Err() == nil {
				return err
			}
			return errors.New("interrupted; what it started has been stopped")
		},
	}
	f := c.Flags()
	c.PersistentFlags().StringVar(&bin, "bin", "bin", "directory of trunkline and trunkline-agent, as make build leaves them")
	f.Func("only", "measure only the figures whose name matches this regular expression", o.setOnly)
	f.BoolVar(&o.quick, "quick", false, "see in half a minute whether it works; the figures mean little")
	f.BoolVar(&o.profile, "profile", false, "then look at the relay under each load: where its CPU goes, its system calls, its allocations")
	f.IntVar(&o.rounds, "rounds", o.rounds, "times that every CPU figure is measured")
	f.IntVar(&o.seconds, "seconds", o.seconds, "length of each measurement of requests")
	f.IntVar(&o.megabytes, "megabytes", o.megabytes, "size of each transfer")
	f.IntSliceVar(&o.tunnels, "tunnels", o.tunnels, "idle tunnels to measure the memory of, several numbers of them one after another")
	f.StringVar(&o.outDir, "out", o.outDir, "directory for the result files")
	f.BoolVar(&peers, "peers", false, "measure other reverse tunnels too, and only what they can: plain HTTP/1.1")
	o.peers = make(map[string]*string)
	for _, name := range peerPrograms() {
		o.peers[name] = f.String(name, "", "where "+name+" is, for --peers; on PATH if not said")
	}
	c.AddCommand(gateCommand(&bin), ciCommand(&bin), &cobra.Command{
		Use: childArg + " NAME", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return runChild(c.Context(), args[0]) },
	})
	return c
}

// gateCommand has no flags that make a count another.
func gateCommand(bin *string) *cobra.Command {
	var file string
	var update bool
	c := &cobra.Command{
		Use: "gate", Short: "Fail if the relay does more for the same than the baseline says", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o := defaults()
			o.programs(*bin)
			return gate(c.Context(), o, file, update)
		},
	}
	c.Flags().StringVar(&file, "baseline", filepath.Join("bench", "gate.json"), "what the counts were")
	c.Flags().BoolVar(&update, "update", false, "write the baseline anew")
	return c
}

func (o *options) setOnly(expression string) (err error) {
	o.only, err = regexp.Compile(expression)
	return err
}

func (o *options) programs(bin string) {
	o.trunkline = []string{filepath.Join(bin, "trunkline")}
	o.agent = []string{filepath.Join(bin, "trunkline-agent")}
}

func defaults() options {
	return options{
		rounds: 6, seconds: 3, megabytes: 1000, tunnels: []int{1, 1000, 10000}, settle: 35 * time.Second,
		only: regexp.MustCompile(""), outDir: filepath.Join("bin", "bench"), out: os.Stdout,
	}
}

// hurry makes a run short, but for what was said.
func (o *options) hurry(said func(flag string) bool) {
	o.quick, o.settle = true, time.Second
	for flag, to := range map[string]struct {
		field *int
		value int
	}{"rounds": {&o.rounds, 1}, "seconds": {&o.seconds, 1}, "megabytes": {&o.megabytes, 100}} {
		if !said(flag) {
			*to.field = to.value
		}
	}
	if !said("tunnels") {
		o.tunnels = []int{20}
	}
}

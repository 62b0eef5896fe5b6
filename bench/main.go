// Bench measures what the relay costs: CPU per request and per gigabyte, beside
// nginx in the same run, and memory per idle tunnel. It starts real processes
// (control with the bus in it, a relay of its own, an agent, a portal, nginx),
// loads them, and stops them again.
//
//	make bench                        everything, about ten minutes
//	go run ./bench -only conns=64     some figures, by regular expression
//	go run ./bench -quick             does it work? The figures mean little
//
// What the figures mean, and how to compare two runs, is in docs/performance.md.
// Bench is not a load test of an installation; cmd/trunkline-loadtest is.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == childArg {
		os.Exit(childMain(os.Args[2]))
	}
	o, err := parseFlags(os.Args[1:])
	if err != nil {
		os.Exit(2) // flag has said why
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends at once; the kernel ends the children then
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parseFlags(args []string) (options, error) {
	o := defaults()
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	bin := f.String("bin", "bin", "directory of trunkline and trunkline-agent, as make build leaves them")
	only := f.String("only", "", "measure only the figures whose name matches this regular expression")
	quick := f.Bool("quick", false, "see in half a minute whether it works; the figures mean little")
	f.IntVar(&o.rounds, "rounds", o.rounds, "times that every CPU figure is measured")
	f.IntVar(&o.seconds, "seconds", o.seconds, "length of each measurement of requests")
	f.IntVar(&o.megabytes, "megabytes", o.megabytes, "size of each transfer")
	f.IntVar(&o.tunnels, "tunnels", o.tunnels, "idle tunnels to measure the memory of")
	f.StringVar(&o.outDir, "out", o.outDir, "directory for the result files")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if *quick {
		o.quicken()
		f.Visit(func(fl *flag.Flag) { _ = f.Set(fl.Name, fl.Value.String()) })
		_ = f.Parse(args) // what was said outweighs what quick means
	}
	var err error
	if o.only, err = regexp.Compile(*only); err == nil && (f.NArg() > 0 || o.rounds < 1 || o.seconds < 1 || o.megabytes < 1 || o.tunnels < 1) {
		err = fmt.Errorf("no arguments, and no number below 1")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return o, err
	}
	o.trunkline = []string{filepath.Join(*bin, "trunkline")}
	o.agent = []string{filepath.Join(*bin, "trunkline-agent")}
	return o, nil
}

func defaults() options {
	return options{
		rounds: 6, seconds: 3, megabytes: 1000, tunnels: 1000, settle: 35 * time.Second,
		only: regexp.MustCompile(""), outDir: filepath.Join("bin", "bench"), out: os.Stdout,
	}
}

func (o *options) quicken() {
	o.quick, o.rounds, o.seconds, o.megabytes, o.tunnels, o.settle = true, 1, 1, 30, 20, time.Second
}

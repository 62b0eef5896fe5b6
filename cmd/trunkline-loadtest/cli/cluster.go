package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"trunkline/internal/service"
	"trunkline/loadtest/cluster"
)

func clusterCommand() *cobra.Command {
	o := cluster.Run{Scale: cluster.Full}
	var short bool
	var trunkline, report, level string
	c := &cobra.Command{
		Use:   "cluster [FAILURE...]",
		Short: "Let the parts of a whole installation fail, one after the other",
		Long: `Cluster starts an installation of its own: three relays, two controls behind a
balancer, three nats-servers and PostgreSQL, as processes, and simulated PBXs with
visitors. It lets each failure happen under that load and prints what was lost and
for how long. As root each node has a network namespace of its own.

Failures, all of them if none is named:
` + failures(cluster.Failures()) + `
With --from there is also "upgrade": the nodes start with that program, and get the
one under test in turn; the trunkline-agent beside it is that of some PBXs.

With --own-clocks, and programs that scripts/own-clock helps to build (make
cluster-clocks does), there are also, none of them unless it is named:
` + failures(cluster.Clocks()) + `

The exit code is 0 if every failure was done and every goal reached. Not as root,
relay-cut and database-away are skipped, and the last line says so.`,
		RunE: func(c *cobra.Command, args []string) error {
			why := cluster.Isolate()
			if why != "" {
				fmt.Fprintf(c.ErrOrStderr(), "no namespaces (%s): the nodes have loopback addresses, and no network is cut\n", why)
			}
			var err error
			if o.Failures, err = cluster.Choose(args, short); err != nil {
				return &service.UsageError{Err: err}
			}
			if o.Trunkline, err = beside(trunkline); err != nil {
				return &service.UsageError{Err: err}
			}
			o.Agent = filepath.Join(filepath.Dir(o.Trunkline), "trunkline-agent")
			if o.From != "" {
				if o.From, err = exec.LookPath(o.From); err != nil {
					return service.Usagef("--from: %w", err)
				}
			}
			if o.NATS, err = exec.LookPath(o.NATS); err != nil {
				return service.Usagef("--nats-server: %w; make cluster-test builds it", err)
			}
			log, err := service.Logger(level, "console")
			if err != nil {
				return err
			}
			defer func() { _ = log.Sync() }()
			if o.Dir, err = os.MkdirTemp("", "trunkline-cluster-"); err != nil {
				return err
			}
			o.Log, o.Registerer = log, prometheus.NewRegistry()
			if short {
				o.Scale = cluster.Short
			}
			o.Say = func(format string, args ...any) { c.PrintErrf(format+"\n", args...) }
			rows, err := o.Do(c.Context())
			if err := errors.Join(cluster.Print(c.OutOrStdout(), rows), save(report, rows)); err != nil {
				return err
			}
			if err == nil {
				err = cluster.Missed(o.Failures, rows, !short)
			}
			if err != nil {
				return fmt.Errorf("%w; the logs are in %s", err, o.Dir)
			}
			return os.RemoveAll(o.Dir)
		},
	}
	f := c.Flags()
	f.IntVar(&o.Devices, "devices", 2000, "simulated PBXs")
	f.IntVar(&o.Visits, "visits", 60, "of them are visited")
	f.BoolVar(&short, "short", false, "the failures that take little time, and those shorter")
	f.DurationVar(&o.Scale.NATSAway, "nats-away", o.Scale.NATSAway, "how long all of NATS is away")
	f.DurationVar(&o.Scale.DatabaseAway, "database-away", o.Scale.DatabaseAway, "how long PostgreSQL is away")
	f.StringVar(&trunkline, "trunkline", "", "the program under test (default: beside this one)")
	f.StringVar(&o.From, "from", "", "the program that the nodes have before the upgrade")
	f.BoolVar(&o.OwnClocks, "own-clocks", false, "the programs have clocks of their own")
	f.StringVar(&o.NATS, "nats-server", "nats-server", "the NATS server, 2.11 or later")
	f.StringVar(&report, "json", "", "file for the rows as JSON")
	f.StringVar(&level, "log", "error", "what the simulated agents log: debug, info, warn, error")
	return c
}

func failures(all []cluster.Failure) string {
	var out strings.Builder
	for _, f := range all {
		fmt.Fprintf(&out, "  %-22s %s\n", f.Name, f.About)
	}
	return out.String()
}

// beside is the program of that path, or the one beside this one.
func beside(program string) (string, error) {
	if program == "" {
		self, err := os.Executable()
		if err != nil {
			return "", err
		}
		program = filepath.Join(filepath.Dir(self), "trunkline")
	}
	return exec.LookPath(program)
}

func save(path string, rows []cluster.Row) error {
	if path == "" {
		return nil
	}
	b, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

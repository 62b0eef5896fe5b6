package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"trunkline/internal/service"
	"trunkline/loadtest/routes"
)

func routesCommand() *cobra.Command {
	var r routes.Run
	c := &cobra.Command{
		Use:   "routes",
		Short: "Measure what the routes of very many PBXs cost",
		Long: `Routes fills a nats-server with routes as that many PBXs at that many relays would,
and measures how long a relay that starts takes to learn them, in what memory, and
how soon the other relays know when one of them is lost. There are no PBXs and no
tunnels: only what relays say of them. A million routes take 8 GiB in all.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if r.Relays < 2 || r.Routes < r.Relays || r.Watchers < 1 {
				return service.Usagef("need two relays, a route for each, and a watcher at least")
			}
			if r.Trunkline, err = beside(r.Trunkline); err != nil {
				return &service.UsageError{Err: err}
			}
			if r.NATS, err = exec.LookPath(r.NATS); err != nil {
				return service.Usagef("--nats-server: %w; make nats-server builds it", err)
			}
			if r.Log, err = service.Logger("warn", "console"); err != nil {
				return err
			}
			if r.Dir, err = os.MkdirTemp("", "trunkline-routes-"); err != nil {
				return err
			}
			r.Say = func(format string, args ...any) { c.PrintErrf(format+"\n", args...) }
			rows, err := r.Do(c.Context())
			if err := errors.Join(err, printRows(c, rows)); err != nil {
				return fmt.Errorf("%w; the logs are in %s", err, r.Dir)
			}
			return os.RemoveAll(r.Dir)
		},
	}
	f := c.Flags()
	f.IntVar(&r.Routes, "routes", 1_000_000, "in all")
	f.IntVar(&r.Relays, "relays", 50, "that announce them")
	f.IntVar(&r.Watchers, "watchers", 3, "tables that must learn of a loss")
	f.StringVar(&r.Trunkline, "trunkline", "", "the program under test (default: beside this one)")
	f.StringVar(&r.NATS, "nats-server", "nats-server", "the NATS server, 2.11 or later")
	return c
}

func printRows(c *cobra.Command, rows []routes.Row) error {
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "step\ttime\tCPU\tresident\tat most")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%v\t%v\t%d MiB\t%d MiB\n", r.Step, r.Time.Round(10*time.Millisecond), r.CPU.Round(10*time.Millisecond), r.Memory>>20, r.Peak>>20)
	}
	return w.Flush()
}

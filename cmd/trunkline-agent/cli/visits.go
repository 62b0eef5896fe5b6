package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"trunkline/agent"
	"trunkline/agent/manage"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/service"
)

func visitsCommand() *cobra.Command {
	c := viewing(&cobra.Command{Use: "visits", Short: "Show who is in now and who was", Args: noArgs}, showVisits)
	c.AddCommand(endVisitCommand())
	return c
}

func showVisits(out io.Writer, v manage.View) error {
	list := func(title string, visits []manage.Visit) {
		fmt.Fprintln(out, title)
		for _, x := range visits {
			to := ""
			if !x.To.IsZero() {
				to = " to " + x.To.Local().Format(time.DateTime)
			}
			fmt.Fprintf(out, "  %-20s %-12s %s%s  %s%s\n", x.ID, x.Method, x.From.Local().Format(time.DateTime), to, agent.Printable(x.Who), endedBy(x))
		}
		if len(visits) == 0 {
			fmt.Fprintln(out, "  nobody")
		}
	}
	list("In now:", v.Now)
	list("Was in:", v.Past)
	return nil
}

// endedBy is why a visit ended, to stand at the end of its line.
func endedBy(v manage.Visit) string {
	if v.Code == "" {
		return ""
	}
	return "  ended: " + agent.Printable(fault.Ending(v.Code))
}

func endVisitCommand() *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use: "end VISIT", Short: "End a visit", Args: one("the visit's id, as `visits` shows it"),
		RunE: func(c *cobra.Command, args []string) error {
			var v id.Visit
			if err := v.UnmarshalText([]byte(args[0])); err != nil {
				return service.Usagef("%w", err)
			}
			cfg, err := s.load(c)
			if err != nil {
				return err
			}
			return atDesk(c, cfg, func(ctx context.Context, desk manage.Desk, _ bool) error {
				if err := desk.EndVisit(ctx, v); err != nil {
					return err
				}
				fmt.Fprintln(c.OutOrStdout(), "The visit has ended.")
				return nil
			})
		},
	}
	s.add(c)
	return c
}

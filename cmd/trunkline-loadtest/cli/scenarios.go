package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"trunkline/internal/service"
	"trunkline/loadtest/scenario"
	"trunkline/loadtest/scenarios"
)

func listCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the scenarios that come with the program", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			t := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, name := range scenarios.Names() {
				s, _, err := find(name)
				if err != nil {
					return err
				}
				fmt.Fprintf(t, "%s\t%v\t%s\n", s.Name, s.Warmup+s.Duration, s.About)
			}
			return t.Flush()
		},
	}
}

func showCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show SCENARIO",
		Short: "Print a scenario, with what its keys mean",
		Long: `Show prints a scenario that comes with the program, or checks and prints a file:

  trunkline-loadtest show storm > my-storm.yaml`,
		Args: oneArg("a scenario's name or a file"),
		RunE: func(c *cobra.Command, args []string) error {
			_, text, err := find(args[0])
			if err != nil {
				return err
			}
			_, err = c.OutOrStdout().Write(text)
			return err
		},
	}
}

// find is the scenario of that name, or in that file, and its text. Errors are
// UsageErrors.
func find(name string) (scenario.Scenario, []byte, error) {
	text, ok := scenarios.Text(name)
	if !ok {
		if !strings.ContainsAny(name, `./\`) && !exists(name) {
			return scenario.Scenario{}, nil, service.Usagef("no scenario is called %q, and there is no such file; there are %s", name, strings.Join(scenarios.Names(), ", "))
		}
		var err error
		if text, err = scenario.Read(name); err != nil {
			return scenario.Scenario{}, nil, &service.UsageError{Err: err}
		}
	}
	s, err := scenario.Parse(text)
	if err != nil {
		return scenario.Scenario{}, nil, service.Usagef("%s: %w", name, err)
	}
	return s, slices.Clone(text), nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

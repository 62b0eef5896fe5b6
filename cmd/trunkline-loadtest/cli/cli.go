// Package cli is the command line of trunkline-loadtest.
package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"trunkline/internal/service"
)

// Root is the command tree.
func Root() *cobra.Command {
	c := &cobra.Command{
		Use:   "trunkline-loadtest",
		Short: "Puts load on a Trunkline installation",
		Args:  noArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(runCommand(), joinCommand(), listCommand(), showCommand(), compareCommand(), clusterCommand(), routesCommand(), versionCommand())
	return c
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), service.Version)
			return err
		},
	}
}

func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return service.Usagef("unknown argument %q; see `%s --help`", args[0], c.CommandPath())
	}
	return nil
}

// oneArg wants what is named and nothing else.
func oneArg(name string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != 1 {
			return service.Usagef("need one argument, %s; see `%s --help`", name, c.CommandPath())
		}
		return nil
	}
}

// Package cli is the command line of trunkline: what each command is called,
// its flags, and how its daemon is put together from configuration. It is a
// package, and not main, so that tests run the commands in their own process.
package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"trunkline/internal/service"
)

// Root is the command tree.
func Root() *cobra.Command {
	c := &cobra.Command{
		Use:   "trunkline",
		Short: "Remote access to PBXs behind NAT: the control plane and the relays",
		Long: "Remote access to PBXs behind NAT: the control plane and the relays.\n\n" +
			"Exit codes: 0 done, 1 something failed, 2 usage or configuration, 3 refused by the other side.",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(upCommand(), controlCommand(), relayCommand(), demoCommand(), licenseCommand(), adminCommand(), versionCommand())
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

// noArgs is cobra.NoArgs as a mistake of the caller's, which is exit code 2.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return service.Usagef("unknown argument %q; see `%s --help`", args[0], c.CommandPath())
	}
	return nil
}

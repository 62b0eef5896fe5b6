// Package cli is the command line of trunkline-agent: its commands, their flags,
// and what they print. It is a package, and not main, so that tests run the
// commands in their own process.
package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"trunkline/agent"
	"trunkline/internal/service"
)

// Root is the command tree.
func Root() *cobra.Command {
	c := &cobra.Command{
		Use:   "trunkline-agent",
		Short: "Connects this PBX to its provider",
		Long: "Connects this PBX to its provider, who can then open its web portal from afar.\n\n" +
			"Exit codes: 0 done, 1 something failed (status: not connected), 2 usage or configuration, 3 refused by the provider.",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(connectCommand(), runCommand(), statusCommand(), visitsCommand(), accessCommand(), setCommand(), pageCommand(), versionCommand())
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

// settings are the configuration file and the flags that outweigh it.
type settings struct {
	config, data, portal, page, admin string
}

func (s *settings) add(c *cobra.Command) {
	d := agent.Default()
	c.Flags().StringVar(&s.config, "config", "", "configuration file (YAML); without it the defaults hold")
	c.Flags().StringVar(&s.data, "data", d.Data, "directory of this PBX's key and identity")
}

func (s *settings) load(c *cobra.Command) (agent.Config, error) {
	cfg := agent.Default()
	if s.config != "" {
		if err := service.LoadYAML(s.config, &cfg); err != nil {
			return cfg, err
		}
	}
	for flag, to := range map[string]*string{"data": &cfg.Data, "portal": &cfg.Portal.URL, "page": &cfg.Page.Listen, "admin": &cfg.Admin} {
		if f := c.Flags().Lookup(flag); f != nil && f.Changed {
			*to = f.Value.String()
		}
	}
	if err := cfg.Validate(); err != nil {
		return cfg, &service.UsageError{Err: err}
	}
	return cfg, nil
}

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"trunkline/agent"
	"trunkline/agent/manage"
	"trunkline/internal/fault"
	"trunkline/internal/service"
)

// atDesk does something at the agent that runs, or in its directory if none
// does.
func atDesk(c *cobra.Command, cfg agent.Config, do func(ctx context.Context, desk manage.Desk, running bool) error) error {
	log, err := service.Logger("warn", "console")
	if err != nil {
		return err
	}
	desk, running, closeDesk, err := agent.Open(c.Context(), cfg, log)
	if err != nil {
		return err
	}
	return errors.Join(outcome(do(c.Context(), desk, running)), closeDesk())
}

func noAgent(cfg agent.Config) string {
	return fmt.Sprintf("The agent is not running with %s; start it with `trunkline-agent run`, or name its --config or --data.", cfg.Data)
}

// sources say where a field comes from on the command line.
var sources = map[string]string{
	"server":           "--server, or server in the configuration file",
	"email":            "--email",
	"serial":           "--sn, or device.serial in the configuration file",
	"model":            "--model, or device.model in the configuration file",
	"firmware":         "--firmware, or device.firmware in the configuration file",
	"ca":               "--ca, or ca_file in the configuration file",
	"portal":           "--portal, or portal.url in the configuration file",
	"code":             "--code",
	"account_password": "--password-file or --password-stdin",
}

// outcome is err with the exit code that it deserves: a mistake in what was
// given is a usage error that names the flag, what goes wrong on this machine or
// on the way to the provider an error, and the provider's no stays a fault.
func outcome(err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	words := agent.Printable(f.Message)
	switch f.Code {
	case fault.Invalid:
		if from, ok := sources[f.Field]; ok {
			words += " (" + from + ")"
		}
		return service.Usagef("%s", words)
	case fault.Unavailable, fault.Internal, fault.NotFound, fault.InProgress, fault.SignInNeeded:
		return errors.New(words)
	}
	return err
}

// one is c's only argument.
func one(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != 1 {
			return service.Usagef("give %s; see `%s --help`", what, c.CommandPath())
		}
		return nil
	}
}

// branch is a command that has others below it.
func branch(use, short string, below ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return service.Usagef("give one of its commands; see `%s --help`", c.CommandPath())
		},
	}
	c.AddCommand(below...)
	return c
}

// changing is a command that changes the settings; words are said when done.
func changing(c *cobra.Command, change func(c *cobra.Command, args []string) (manage.Change, string, error)) *cobra.Command {
	var s settings
	s.add(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		cfg, err := s.load(c)
		if err != nil {
			return err
		}
		q, words, err := change(c, args)
		if err != nil {
			return err
		}
		return atDesk(c, cfg, func(ctx context.Context, desk manage.Desk, _ bool) error {
			if err := desk.Change(ctx, q); err != nil {
				return err
			}
			if q.Account != nil {
				v, err := desk.View(ctx)
				if err != nil {
					return err
				}
				words += " " + accountWords(v)
			}
			fmt.Fprintln(c.OutOrStdout(), words)
			return nil
		})
	}
	return c
}

// viewing is a command that shows something of the view.
func viewing(c *cobra.Command, show func(io.Writer, manage.View) error) *cobra.Command {
	var s settings
	var asJSON bool
	s.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := s.load(c)
		if err != nil {
			return err
		}
		return atDesk(c, cfg, func(ctx context.Context, desk manage.Desk, running bool) error {
			v, err := desk.View(ctx)
			if err != nil {
				return err
			}
			if !running { // of another directory's agent nothing is known here
				fmt.Fprintln(c.ErrOrStderr(), noAgent(cfg))
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(v)
			}
			return show(c.OutOrStdout(), v)
		})
	}
	return c
}

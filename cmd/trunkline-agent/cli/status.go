package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"trunkline/agent"
)

var errNotConnected = errors.New("not connected")

func statusCommand() *cobra.Command {
	var s settings
	var asJSON bool
	c := &cobra.Command{
		Use: "status", Short: "Show how the connection to the provider stands; exit code 0 if connected, else 1", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := s.load(c)
			if err != nil {
				return err
			}
			r, err := agent.ReadStatus(c.Context(), cfg)
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(c.OutOrStdout()).Encode(r)
			} else {
				show(c.OutOrStdout(), r)
			}
			switch {
			case err != nil:
				return err
			case !r.Running:
				return errors.New("the agent is not running; start it with `trunkline-agent run`")
			case r.State != agent.Connected:
				return errNotConnected
			}
			return nil
		},
	}
	s.add(c)
	c.Flags().StringVar(&s.admin, "admin", agent.Default().Admin, "the running agent's admin address")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func show(out io.Writer, r agent.Report) {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(out, "%-9s %s\n", name, agent.Printable(value))
		}
	}
	if r.Running {
		line("State", string(r.State))
	} else {
		line("State", "Not running")
		line("Last", string(r.State))
	}
	line("Reason", r.Reason)
	line("Code", string(r.Code))
	line("Since", r.Since.Local().Format(time.RFC1123))
	line("Relay", string(r.Relay))
	if r.Running && !r.NextTry.IsZero() {
		line("Tried", fmt.Sprintf("%d without success, the last at %s", r.Tried, r.TriedAt))
		line("Next try", r.NextTry.Local().Format(time.RFC1123))
	}
	line("Provider", r.Account)
	line("Server", r.Server)
	line("Site", string(r.Site))
	if r.Device != "" {
		line("Device", fmt.Sprintf("%s (%s)", r.Device, r.Serial))
	}
}

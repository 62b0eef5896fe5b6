package cli

import (
	"os"

	"github.com/spf13/cobra"

	"trunkline/cmd/trunkline/demo"
	"trunkline/internal/service"
)

func demoCommand() *cobra.Command {
	o := demo.Options{}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run everything with a simulated PBX on loopback",
		Long: `Demo runs an installation on loopback together with a simulated PBX, a pair of
them in hot standby, and their agents, and prints where to sign in and what to
click. Enter swaps the roles of the pair, Ctrl-C stops it all.

With --check it does the main job once (activate by e-mail, tunnel up, visit,
fetch a page, sign in at the PBX, WebSocket echo) in a directory of its own, prints each step, and
exits 0 if all went well.

With --split control and relay are processes of their own. Kill any of them
(their process numbers are printed) and see what goes on working, and how soon
the rest is back.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.In, o.Out = c.InOrStdin(), c.OutOrStdout()
			if o.Check && !c.Flags().Changed("data") {
				dir, err := os.MkdirTemp("", "trunkline-check-")
				if err != nil {
					return err
				}
				defer os.RemoveAll(dir)
				o.Data = dir
			}
			if o.Check && !c.Flags().Changed("listen") {
				o.Listen = "127.0.0.1:0"
			}
			if o.Check && o.Split {
				return service.Usagef("--check and --split exclude each other")
			}
			return demo.Run(c.Context(), o)
		},
	}
	c.Flags().StringVar(&o.Data, "data", "data/demo", "directory for database, keys and logs; kept between runs")
	c.Flags().StringVar(&o.Listen, "listen", "127.0.0.1:8443", "the public TLS port")
	c.Flags().StringVar(&o.Agent, "agent", "", "path of trunkline-agent (default: beside this program)")
	c.Flags().BoolVar(&o.Check, "check", false, "do the main job once, print each step, exit 0 or 1")
	c.Flags().BoolVar(&o.Split, "split", false, "run control and relay as processes of their own")
	c.AddCommand(pbxAccountCommand())
	return c
}

// pbxAccountCommand is what agents of a demo run, as portal.account.command.
func pbxAccountCommand() *cobra.Command {
	return &cobra.Command{
		Use: demo.AccountCommand + " URL", Hidden: true, Args: cobra.ExactArgs(1),
		Short: "Tell a demo's PBX of its account for remote access, as an agent",
		RunE: func(c *cobra.Command, args []string) error {
			return demo.TellPBX(c.Context(), args[0], c.InOrStdin())
		},
	}
}

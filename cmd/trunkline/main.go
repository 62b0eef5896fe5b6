// Trunkline is the control plane and the relays, in one program:
//
//	trunkline up        a whole installation in one process
//	trunkline control   one node of the control plane
//	trunkline relay     one node of the data plane
//	trunkline demo      up, a simulated PBX and its agent, to look at
package main

import (
	"os"

	"github.com/spf13/cobra"

	"trunkline/internal/service"
)

func main() { os.Exit(run()) }

func run() int { return service.Main(root()) }

func root() *cobra.Command {
	c := &cobra.Command{
		Use:   "trunkline",
		Short: "Remote access to PBXs behind NAT: the control plane and the relays",
		Args:  cobra.NoArgs,
	}
	c.AddCommand(upCommand(), controlCommand(), relayCommand(), demoCommand(), versionCommand())
	return c
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			c.Println(service.Version)
			return nil
		},
	}
}

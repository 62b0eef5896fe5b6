// Trunkline-agent connects the PBX it runs on, or beside, to its provider:
//
//	trunkline-agent connect   activate this PBX with the provider, once
//	trunkline-agent run       hold the connection; what a service manager starts
//	trunkline-agent status    how the connection stands
//
// Exit codes: 0 done (status: connected), 1 something failed (status: not
// connected), 2 the command line or the configuration is wrong, 3 the provider
// refused; the message has the code of the refusal.
package main

import (
	"os"

	"trunkline/cmd/trunkline-agent/cli"
	"trunkline/internal/service"
)

func main() { os.Exit(run()) }

func run() int { return service.Main(cli.Root()) }

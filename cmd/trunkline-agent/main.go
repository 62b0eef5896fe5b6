// Trunkline-agent connects the PBX it runs on, or beside, to its provider:
//
//	trunkline-agent run       hold the connection, serve the page; what a service manager starts
//	trunkline-agent connect   activate this PBX with the provider
//	trunkline-agent status    how the connection stands
//	trunkline-agent visits    who is in now and who was; visits end ID
//	trunkline-agent access    remote access: on, off, show
//	trunkline-agent set       passwordless, auto-logout, account
//	trunkline-agent page      the Remote Management page: url, reset-password
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

// Trunkline-loadtest puts load on an installation and says how it was borne:
//
//	trunkline-loadtest run   simulated PBXs, a visit to each, requests at a rate
//
// Exit codes: 0 done, 1 something failed or too many requests did, 2 the command
// line is wrong, 3 the installation refused; the message has the code of the
// refusal.
package main

import (
	"os"

	"trunkline/cmd/trunkline-loadtest/cli"
	"trunkline/internal/service"
)

func main() { os.Exit(service.Main(cli.Root())) }

// Trunkline-loadtest puts load on an installation and says how it was borne:
//
//	trunkline-loadtest list             the scenarios that come with it
//	trunkline-loadtest show SCENARIO    one of them, with what its keys mean
//	trunkline-loadtest run SCENARIO     run it, on an installation of its own or yours
//	trunkline-loadtest join             be one of the generators of a run
//	trunkline-loadtest compare A B      what changed from one run to another
//
// Exit codes: 0 every threshold holds, 1 one does not, or something failed, 2 the
// command line or the scenario is wrong, 3 the installation refused; the message
// has the code of the refusal.
package main

import (
	"os"

	"trunkline/cmd/trunkline-loadtest/cli"
	"trunkline/internal/service"
)

func main() {
	service.FrugalGC() // memory is what bounds the number of agents
	os.Exit(service.Main(cli.Root()))
}

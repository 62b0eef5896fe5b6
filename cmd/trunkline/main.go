// Trunkline is the control plane and the relays, in one program:
//
//	trunkline up        a whole installation in one process
//	trunkline control   one node of the control plane
//	trunkline relay     one node of the data plane
//	trunkline demo      up, a simulated PBX and its agent, to look at
//
// Exit codes: 0 done, 1 something failed, 2 the command line or the
// configuration is wrong, 3 the other side refused; the message has the code of
// the refusal.
package main

import (
	"os"

	"trunkline/cmd/trunkline/cli"
	"trunkline/internal/service"
)

func main() { os.Exit(service.Main(cli.Root())) }

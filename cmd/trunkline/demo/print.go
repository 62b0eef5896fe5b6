package demo

import (
	"fmt"

	"trunkline/internal/controlapi"
	"trunkline/internal/id"
)

func (d *demo) say(format string, args ...any) {
	d.outMu.Lock()
	defer d.outMu.Unlock()
	fmt.Fprintf(d.o.Out, format+"\n", args...)
}

func (d *demo) step(what, detail string) { d.say("ok  %-28s %s", what, detail) }

func (d *demo) banner(dev controlapi.Device, email, password, page string, pair id.Site) {
	d.say(`
  Trunkline demo: a simulated PBX and a hot-standby pair, connected through the relay.

    Console    %s
    Sign in    %s
    Password   %s

    Visit      %s/visit/%s
               (sign in, click Visit, and you are in the PBX's portal)
    Pair       %s/visit/%s
               (listed Active and Standby, on one connection; Enter here swaps them)
    Portal     super administrator %s / %s
               Administrator       %s / %s (or whom you set under Account
               on the PBX's page)
    PBX's page %s
               (Remote Management: set its password, see who is in, close the door;
               Passwordless Login there, and the PBX's option in the console, let
               visitors in as super administrator)

  Your browser does not know the demo's CA: accept its warning, or import
    %s
  Logs are in %s. Ctrl-C stops everything.
`,
		d.planes.consoleURL(), email, password, d.planes.consoleURL(), dev.Site, d.planes.consoleURL(), pair,
		superUser, superPassword, adminUser, adminPassword, page, d.planes.caFile(), d.logDir())
}

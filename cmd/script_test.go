// Package cmd_test runs the programs as their operators do, by scripts: what
// comes out, where, and with which exit code. What goes wrong has equal rank.
//
// Beside testscript's own commands the scripts have:
//
//	exits CODE PROGRAM ARGS...   runs it; it must exit with CODE
//	start NAME PROGRAM ARGS...   runs it in the background; its output is in NAME.out and NAME.err
//	term NAME [CODE]             sends SIGTERM and waits; it must exit with CODE, 0 if none is given
//	died NAME CODE               waits until it has exited by itself
//	get STATUS URL               fetches URL until it answers STATUS; stdout is the body
//	waitfor REGEXP FILE          waits until FILE has it
//	mode OCTAL FILE              the file's permissions
//	[!] leaks SECRETFILE FILE... some FILE holds what is in SECRETFILE
//	sql DATABASE STATEMENT       changes an SQLite database
//	damage FILE                  writes over it from its second page on
//	fill FILE...                 puts variables' values into files
//	which VARIABLE PROGRAM       PROGRAM's path goes to VARIABLE
//	occupy VARIABLE              listens on a port, whose address goes to VARIABLE
//
// and the variables PORT1 to PORT6, ports that were free just now.
package cmd_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	agent "trunkline/cmd/trunkline-agent/cli"
	loadtest "trunkline/cmd/trunkline-loadtest/cli"
	trunkline "trunkline/cmd/trunkline/cli"
	"trunkline/internal/pgtest"
	"trunkline/internal/service"
)

func TestMain(m *testing.M) {
	// With the race detector a program that ends sleeps for a second, in case
	// that some thread has a report to finish. The tests run hundreds.
	if os.Getenv("GORACE") == "" {
		os.Setenv("GORACE", "atexit_sleep_ms=20")
	}
	program := func(root func() *cobra.Command) func() {
		return func() { os.Exit(service.Main(root())) }
	}
	testscript.Main(withPostgres{m}, map[string]func(){
		"trunkline":          program(trunkline.Root),
		"trunkline-agent":    program(agent.Root),
		"trunkline-loadtest": program(loadtest.Root),
	})
}

// withPostgres stops the server that a test has started.
type withPostgres struct{ m *testing.M }

func (w withPostgres) Run() int { return pgtest.Main(w.m) }

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", Setup: setup, Cmds: commands(), RequireExplicitExec: true, RequireUniqueNames: true,
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %s", cond)
		},
	})
}

package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"trunkline/agent"
	"trunkline/cmd/trunkline/cli"
	"trunkline/internal/service"
)

// TestMain lets the test binary be all the programs that bench starts: the
// sources as they are are run, and not what lies in bin.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case childArg:
			os.Exit(service.Main(root()))
		case "trunkline":
			root := cli.Root()
			root.SetArgs(os.Args[2:])
			os.Exit(service.Main(root))
		case "agent": // run --data DIR ...
			os.Exit(runAgent(os.Args[4]))
		}
	}
	os.Exit(m.Run())
}

func runAgent(data string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c := agent.Default()
	c.Data, c.Admin = data, agent.AdminOff
	a, err := agent.New(c, zap.NewNop(), prometheus.NewRegistry())
	if err == nil {
		err = a.Run(ctx)
	}
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		return 1
	}
	return 0
}

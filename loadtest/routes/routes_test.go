package routes_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	trunkline "trunkline/cmd/trunkline/cli"
	"trunkline/internal/service"
	"trunkline/loadtest/routes"
)

// The test's own program is trunkline and nats-server too: `go build` in a test
// would be cached as it was.
const asProgram = "ROUTES_AS_PROGRAM"

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(asProgram) == "":
		os.Setenv(asProgram, "1") // for children
		goleak.VerifyTestMain(m)
	case os.Args[1] == "-c":
		os.Exit(natsServer(os.Args[2]))
	default:
		os.Exit(service.Main(trunkline.Root()))
	}
}

func natsServer(conf string) (code int) {
	o, err := server.ProcessConfigFile(conf)
	if err != nil {
		os.Stderr.WriteString(err.Error())
		return 1
	}
	s, err := server.NewServer(o)
	if err != nil {
		os.Stderr.WriteString(err.Error())
		return 1
	}
	s.Start()
	s.WaitForShutdown()
	return 0
}

// Every step comes to its end, which is that whoever should know all routes, or of
// the loss, does.
func TestRoutesAreMeasured(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	r := routes.Run{
		Routes: 400, Relays: 4, Watchers: 2, Trunkline: self, NATS: self, Dir: t.TempDir(),
		Log: zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel)), Say: func(format string, _ ...any) { said = append(said, format) },
	}
	rows, err := r.Do(t.Context())
	if err != nil {
		logs, _ := filepath.Glob(filepath.Join(r.Dir, "*.log"))
		for _, l := range logs {
			b, _ := os.ReadFile(l)
			t.Logf("%s:\n%s", l, b)
		}
		t.Fatal(err)
	}
	if len(rows) != 6 || len(said) != len(rows) {
		t.Fatalf("%d steps, of which %d were told; want 6", len(rows), len(said))
	}
	for _, row := range rows {
		if row.Step == "" || row.Time <= 0 || row.Memory <= 1<<20 || row.Peak < row.Memory || row.CPU < 0 {
			t.Errorf("%+v", row)
		}
	}
	if !strings.Contains(rows[5].Step, "one relay of 4 is lost") {
		t.Errorf("the last step is %q", rows[5].Step)
	}
}

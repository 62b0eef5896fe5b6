package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"trunkline/internal/service"
	"trunkline/internal/service/debug"
	"trunkline/loadtest"
	"trunkline/loadtest/result"
	"trunkline/loadtest/scenario"
	"trunkline/loadtest/target"
)

type runFlags struct {
	reportFlags
	busFlags

	server, ca, email       string
	passwordFile, tokenFile string
	relays                  []string
	trunkline               string
	devices                 int
	duration, warmup        time.Duration
	admin, level            string
}

func runCommand() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run SCENARIO|FILE",
		Short: "Run a scenario and say how it went",
		Long: `Run brings up a scenario's simulated PBXs, visits them as the scenario says, and tells
what the visitors saw. Without --server it starts an installation of its own, of one
control and as many relays as the scenario has, on this machine, and ends it again.
With --server the PBXs go into a running installation, in the account of the login,
and are removed at the end; each takes a connection of the licence meanwhile.

  trunkline-loadtest run browse --devices 50 --duration 30s
  trunkline-loadtest run storm --json storm.json --html storm.html
  trunkline-loadtest run my.yaml --server https://console.pbx.example.com:8443 --token-file token

The token needs the scopes devices:read, devices:write and visits:write.

Progress is on standard error, the result on standard output. Ctrl-C or SIGTERM end
the run early; the result is of the part until then, and says so. The exit code is 1
if a threshold of the scenario does not hold.`,
		Args: oneArg("a scenario's name or a file"),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args[0]) },
	}
	fl := c.Flags()
	fl.StringVar(&f.server, "server", "", "the console's URL, https://... (default: an installation of its own)")
	fl.StringVar(&f.ca, "ca", "", "PEM file with the CA of its certificates (default: the system's)")
	fl.StringVar(&f.tokenFile, "token-file", "", "file whose first line is an API token")
	fl.StringVar(&f.email, "email", "", "instead: e-mail address of an owner or admin of the account that takes the PBXs")
	fl.StringVar(&f.passwordFile, "password-file", "", "file whose first line is that user's password")
	fl.StringArrayVar(&f.relays, "relay", nil, "NAME=URL of a relay's admin listener, for its CPU and memory; may be repeated")
	fl.StringVar(&f.trunkline, "trunkline", "", "the program for an installation of its own (default: beside this one, or in PATH)")
	fl.IntVar(&f.devices, "devices", 0, "PBXs; all rates go with them (default: the scenario's)")
	fl.DurationVar(&f.duration, "duration", 0, "what is counted; the events go with it (default: the scenario's)")
	fl.DurationVar(&f.warmup, "warmup", 0, "traffic before that (default: the scenario's)")
	f.reportFlags.add(c)
	f.addCoordinator(c)
	fl.StringVar(&f.admin, "admin", defaultAdmin, "listener for health, metrics and profiles; off: none")
	fl.StringVar(&f.level, "log", "error", "what visitors without an answer and simulated agents log: debug, info, warn, error")
	return c
}

func (f *runFlags) run(c *cobra.Command, name string) error {
	s, text, err := f.scenario(c, name)
	if err != nil {
		return err
	}
	open, err := f.target(s)
	if err != nil {
		return err
	}
	if err := f.writable(); err != nil {
		return err
	}
	log, err := service.Logger(f.level, "console")
	if err != nil {
		return err
	}
	defer func() { _ = log.Sync() }()
	crew, leave, err := f.coordinate(c.Context(), log)
	if err != nil {
		return err
	}
	reg := service.Registry()
	screen := newScreen(c.ErrOrStderr())
	report := func(r *result.Result) error {
		defer c.PrintErrln("removing the PBXs")
		return f.write(c, r)
	}
	err = observed(c.Context(), f.admin, reg, log, func(ctx context.Context) error {
		_, err := loadtest.Run(ctx, loadtest.Options{Scenario: s, Text: text, Open: open, Report: report, Crew: crew, Live: screen.show, Log: log, Registerer: reg})
		return err
	})
	return errors.Join(err, leave())
}

// scenario is the one of that name, as the flags change it.
func (f *runFlags) scenario(c *cobra.Command, name string) (scenario.Scenario, string, error) {
	s, text, err := find(name)
	if err != nil {
		return s, "", err
	}
	changed := c.Flags().Changed
	if changed("devices") {
		if f.devices < 1 || f.devices > scenario.MaxDevices {
			return s, "", service.Usagef("--devices: need 1 to %d", scenario.MaxDevices)
		}
		s = s.Scale(f.devices)
	}
	if changed("duration") {
		if f.duration < 100*time.Millisecond {
			return s, "", service.Usagef("--duration: need at least 100ms")
		}
		s = s.Stretch(f.duration)
	}
	if changed("warmup") {
		if f.warmup < 0 {
			return s, "", service.Usagef("--warmup: need a time that is not negative")
		}
		s.Warmup = f.warmup
	}
	for _, flag := range []string{"devices", "duration", "warmup"} {
		if changed(flag) {
			text = append(text, fmt.Sprintf("# --%s %s\n", flag, c.Flags().Lookup(flag).Value)...)
		}
	}
	return s, string(text), nil
}

type opener = func(context.Context) (*target.Target, *target.Own, error)

// target checks the flags that name the installation; it asks nobody yet.
func (f *runFlags) target(s scenario.Scenario) (opener, error) {
	if f.server == "" {
		for flag, v := range map[string]string{"ca": f.ca, "token-file": f.tokenFile, "email": f.email, "password-file": f.passwordFile} {
			if v != "" {
				return nil, service.Usagef("--%s: of which installation? Give --server too", flag)
			}
		}
		return f.own(s)
	}
	if s.OwnRelays() {
		return nil, service.Usagef("%s kills or restarts relays, or has visitors come to any of them, which a test does to an installation of its own only: leave out --server", s.Name)
	}
	var l target.Login
	var err error
	switch {
	case f.tokenFile != "":
		if l.Token, err = firstLine(f.tokenFile); err != nil {
			return nil, service.Usagef("--token-file: %w", err)
		}
	case f.email == "" || f.passwordFile == "":
		return nil, service.Usagef("--token-file, or --email and --password-file: missing")
	default:
		l.Email = f.email
		if l.Password, err = firstLine(f.passwordFile); err != nil {
			return nil, service.Usagef("--password-file: %w", err)
		}
	}
	var relays []target.Relay
	for _, r := range f.relays {
		name, base, ok := strings.Cut(r, "=")
		if u, err := url.Parse(base); !ok || name == "" || err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, service.Usagef("--relay: %q is not NAME=http://HOST:PORT", r)
		}
		relays = append(relays, target.Watched(name, strings.TrimSuffix(base, "/")))
	}
	return func(ctx context.Context) (*target.Target, *target.Own, error) {
		t, err := target.Open(ctx, f.server, f.ca, l, relays)
		return t, nil, err
	}, nil
}

// own starts an installation in a directory of its own, which stays where
// something went wrong with it.
func (f *runFlags) own(s scenario.Scenario) (opener, error) {
	program := f.trunkline
	if program == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		if program = filepath.Join(filepath.Dir(self), "trunkline"); !exists(program) {
			program = "trunkline"
		}
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, service.Usagef("--trunkline: %w; or give --server, for an installation that runs", err)
	}
	return func(ctx context.Context) (*target.Target, *target.Own, error) {
		dir, err := os.MkdirTemp("", "trunkline-loadtest-")
		if err != nil {
			return nil, nil, err
		}
		own, err := target.Start(ctx, dir, path, s.Relays, s.Room())
		if err != nil {
			return nil, nil, err
		}
		return own.Target, own, nil
	}, nil
}

// observed does the work beside its admin listener, if there is one.
func observed(ctx context.Context, addr string, reg *prometheus.Registry, log *zap.Logger, work func(context.Context) error) error {
	if addr == "off" {
		return work(ctx)
	}
	admin, err := service.NewAdmin(addr, debug.Metrics(reg), debug.Profiles(), func() error { return nil }, log)
	if err != nil {
		return fmt.Errorf("%w; --admin takes another address, or off", err)
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, life := errgroup.WithContext(life)
	g.Go(func() error { return admin.Run(life) })
	g.Go(func() error {
		defer stop()
		return work(ctx)
	})
	return g.Wait()
}

const maxSecret = 4096

func firstLine(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	line, err := bufio.NewReader(io.LimitReader(file, maxSecret+2)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" || len(line) > maxSecret {
		return "", fmt.Errorf("%s: the first line is empty or longer than %d bytes", path, maxSecret)
	}
	return line, nil
}

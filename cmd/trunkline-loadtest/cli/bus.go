package cli

import (
	"context"
	"errors"
	"net"
	"os"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"trunkline/internal/bus"
	"trunkline/internal/service"
	"trunkline/loadtest"
	"trunkline/loadtest/crew"
	"trunkline/loadtest/result"
)

// generatorUser is how generators sign in to the coordinator's own bus.
const generatorUser = "generator"

// busFlags say how generators and their coordinator find each other.
type busFlags struct {
	bus.Config

	generators int
	listen     string
}

func (f *busFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.URL, "bus", "", "NATS server, nats://host:port or tls://host:port")
	fl.StringVar(&f.User, "bus-user", "", "user at the bus (default: "+generatorUser+", if there is a password)")
	fl.StringVar(&f.PasswordFile, "bus-password-file", "", "file with its password, mode 0600")
	fl.StringVar(&f.CAFile, "bus-ca", "", "PEM file with the CA of the bus's certificate")
}

func (f *busFlags) addCoordinator(c *cobra.Command) {
	f.add(c)
	c.Flags().IntVar(&f.generators, "generators", 0, "so many other processes make the load: see join")
	c.Flags().StringVar(&f.listen, "bus-listen", "", "host:port at which they reach a bus in this process, instead of --bus")
}

const maxGenerators = 200

// config checks the flags.
func (f *busFlags) config() (bus.Config, error) {
	c := f.Config
	if f.listen != "" {
		if c.URL != "" || c.User != "" || c.CAFile != "" {
			return c, service.Usagef("--bus-listen is for a bus in this process, --bus and its flags for another: give one")
		}
		if c.PasswordFile == "" {
			return c, service.Usagef("--bus-password-file: missing; generators sign in at --bus-listen")
		}
		return bus.Config{Listen: f.listen, Logins: []bus.Login{{User: generatorUser, PasswordFile: c.PasswordFile, Relay: generatorUser}}}, nil
	}
	if c.URL == "" {
		return c, service.Usagef("--bus: missing")
	}
	if c.PasswordFile != "" && c.User == "" {
		c.User = generatorUser
	}
	if err := c.Validate(); err != nil {
		return c, &service.UsageError{Err: err}
	}
	return c, nil
}

// coordinate is nil where this process makes the load itself.
func (f *busFlags) coordinate(ctx context.Context, log *zap.Logger) (loadtest.Crew, func() error, error) {
	switch {
	case f.generators == 0 && f.listen == "" && f.URL == "":
		return nil, func() error { return nil }, nil
	case f.generators < 1 || f.generators > maxGenerators:
		return nil, nil, service.Usagef("--generators: need 1 to %d", maxGenerators)
	}
	conf, err := f.config()
	if err != nil {
		return nil, nil, err
	}
	b, err := bus.Open(ctx, conf, log.Named("bus"))
	if err != nil {
		return nil, nil, err
	}
	c, err := crew.Coordinate(b, f.generators)
	if err != nil {
		return nil, nil, errors.Join(err, b.Close())
	}
	return c, func() error { c.Close(); return b.Close() }, nil
}

func joinCommand() *cobra.Command {
	var f busFlags
	var own reportFlags
	var admin, name, level string
	c := &cobra.Command{
		Use:   "join --bus URL",
		Short: "Make load for a run that is started elsewhere",
		Long: `Join makes this process a generator of a run that is coordinated by another:

  trunkline-loadtest run soak --server ... --generators 2 --bus-listen 10.0.0.1:4333 --bus-password-file secret
  trunkline-loadtest join --bus nats://10.0.0.1:4333 --bus-password-file secret     # on two machines

It waits for the coordinator, brings up its part of the PBXs, begins when it is told,
and ends when the run does. It reports what it has seen every five seconds, and its own
part is on its standard output at the end: if the coordinator is killed, that is what is
left of the run.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			conf, err := f.config()
			if err != nil {
				return err
			}
			if err := own.writable(); err != nil {
				return err
			}
			log, err := service.Logger(level, "console")
			if err != nil {
				return err
			}
			defer func() { _ = log.Sync() }()
			reg := service.Registry()
			return observed(c.Context(), admin, reg, log, func(ctx context.Context) (err error) {
				b, err := bus.Open(ctx, conf, log.Named("bus"))
				if err != nil {
					return err
				}
				defer func() { err = errors.Join(err, b.Close()) }()
				g := &crew.Generator{
					Bus: b, Name: name, Log: log, Registerer: reg,
					Say:    func(format string, args ...any) { c.PrintErrf(format+"\n", args...) },
					Report: func(r *result.Result) error { return own.write(c, r) },
				}
				return g.Run(ctx)
			})
		},
	}
	f.add(c)
	own.add(c)
	host, err := os.Hostname()
	if err != nil {
		host = "generator"
	}
	c.Flags().StringVar(&name, "name", host, "what it is called in the report")
	c.Flags().StringVar(&admin, "admin", defaultAdmin, "listener for health, metrics and profiles; off: none")
	c.Flags().StringVar(&level, "log", "error", "what the simulated agents log: debug, info, warn, error")
	return c
}

// defaultAdmin is the load test's place among the programs' admin listeners.
var defaultAdmin = net.JoinHostPort("127.0.0.1", "9704")

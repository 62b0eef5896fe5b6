// Package cli is the command line of trunkline-loadtest.
package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"trunkline/internal/service"
	"trunkline/internal/service/debug"
	"trunkline/loadtest"
)

// Root is the command tree.
func Root() *cobra.Command {
	c := &cobra.Command{
		Use:   "trunkline-loadtest",
		Short: "Puts load on a Trunkline installation",
		Args:  noArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(runCommand(), versionCommand())
	return c
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), service.Version)
			return err
		},
	}
}

func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return service.Usagef("unknown argument %q; see `%s --help`", args[0], c.CommandPath())
	}
	return nil
}

type runFlags struct {
	loadtest.Options
	passwordFile, admin string
	maxErrors           int64
	json                bool
}

func runCommand() *cobra.Command {
	f := runFlags{Options: loadtest.Default()}
	c := &cobra.Command{
		Use:   "run --server URL --email ADDRESS --password-file FILE",
		Short: "Activate simulated PBXs, visit each, send requests at a rate",
		Long: `Run activates simulated PBXs by e-mail and password, runs the real agent for each,
opens a visit to each, and sends GET requests through the relay, to each PBX in
turn, at a rate that does not wait for answers. Latency counts from when a request
was due. The PBXs serve one page of --size bytes. At the end they are removed.

Each PBX takes one connection of the licence while the test runs. Everything is in
this one process: run it on another machine than the relay, and watch that it is
not this one that is busy.

Progress is on standard error, the result on standard output.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	fl := c.Flags()
	fl.StringVar(&f.Server, "server", "", "the console's URL, https://...")
	fl.StringVar(&f.CAFile, "ca", "", "PEM file with the CA of its certificates (default: the system's)")
	fl.StringVar(&f.Email, "email", "", "e-mail address of an owner or admin of the account that takes the PBXs")
	fl.StringVar(&f.passwordFile, "password-file", "", "file whose first line is that user's password")
	fl.IntVar(&f.Devices, "devices", f.Devices, "simulated PBXs")
	fl.DurationVar(&f.Duration, "duration", f.Duration, "how long to send requests")
	fl.Float64Var(&f.Rate, "rate", f.Rate, "requests a second, of all PBXs together")
	fl.StringVar(&f.Path, "path", f.Path, "what is asked for")
	fl.IntVar(&f.Size, "size", f.Size, "bytes of an answer's body")
	fl.IntVar(&f.MaxInFlight, "max-in-flight", f.MaxInFlight, "requests that may wait for their answers; what is due beyond that is an error")
	fl.DurationVar(&f.Timeout, "timeout", f.Timeout, "for one request")
	fl.Int64Var(&f.maxErrors, "max-errors", 0, "exit with 1 if there are more")
	fl.BoolVar(&f.json, "json", false, "print the result as JSON")
	fl.StringVar(&f.admin, "admin", "off", "listener for health, metrics and profiles, for example 127.0.0.1:9704")
	return c
}

func (f *runFlags) run(c *cobra.Command) error {
	var err error
	if f.passwordFile == "" {
		return service.Usagef("--password-file: missing")
	}
	if f.Password, err = firstLine(f.passwordFile); err != nil {
		return service.Usagef("--password-file: %w", err)
	}
	log, err := service.Logger("error", "console")
	if err != nil {
		return err
	}
	reg := service.Registry()
	t, err := loadtest.New(f.Options, c.ErrOrStderr(), log, reg)
	if err != nil {
		return &service.UsageError{Err: err}
	}
	r, err := f.observed(c.Context(), t, reg, log)
	if err != nil {
		return err
	}
	if f.json {
		err = json.NewEncoder(c.OutOrStdout()).Encode(r)
	} else {
		err = r.Print(c.OutOrStdout())
	}
	if err == nil && r.Errors > f.maxErrors {
		err = fmt.Errorf("%d of %d requests failed; --max-errors is %d", r.Errors, r.Requests, f.maxErrors)
	}
	return err
}

// observed runs the test beside its admin listener, if it has one.
func (f *runFlags) observed(ctx context.Context, t *loadtest.Test, reg *prometheus.Registry, log *zap.Logger) (loadtest.Result, error) {
	if f.admin == "off" {
		return t.Run(ctx)
	}
	admin, err := service.NewAdmin(f.admin, debug.Metrics(reg), debug.Profiles(), func() error { return nil }, log)
	if err != nil {
		return loadtest.Result{}, err
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, life := errgroup.WithContext(life)
	g.Go(func() error { return admin.Run(life) })
	var r loadtest.Result
	g.Go(func() (err error) {
		defer stop()
		r, err = t.Run(ctx)
		return err
	})
	err = g.Wait()
	return r, err
}

const maxPassword = 1024 // is what control takes

func firstLine(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	line, err := bufio.NewReader(io.LimitReader(file, maxPassword+2)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" || len(line) > maxPassword {
		return "", fmt.Errorf("%s: the first line is empty or longer than %d bytes", path, maxPassword)
	}
	return line, nil
}

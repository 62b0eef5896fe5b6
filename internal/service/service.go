// Package service is what every Trunkline daemon has around its plane: the
// logger, signals, the admin listener, strict configuration files and exit
// codes. It is the only package that ends the process.
package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"trunkline/internal/fault"
)

// Exit codes of all our programs.
const (
	ExitOK      = 0
	ExitError   = 1 // something failed
	ExitUsage   = 2 // the command line or the configuration is wrong
	ExitRefused = 3 // the other side said no; the message has the code
)

// UsageError is a mistake of the caller's: exit code 2.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }
func (e *UsageError) Unwrap() error { return e.Err }

// Usagef makes a UsageError.
func Usagef(format string, args ...any) error {
	return &UsageError{fmt.Errorf(format, args...)}
}

// Main runs a command tree under a context that the first SIGINT or SIGTERM
// ends. The second signal kills the process, as if nothing had caught it.
// It returns the exit code; main passes it to os.Exit.
func Main(root *cobra.Command) int {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			signal.Stop(signals)
			stop()
		case <-ctx.Done():
		}
	}()

	root.SilenceUsage, root.SilenceErrors = true, true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &UsageError{err} })
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitOK
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", root.Name(), err)
	return exitCode(err)
}

func exitCode(err error) int {
	var usage *UsageError
	var refused *fault.Error
	switch {
	case errors.As(err, &usage):
		return ExitUsage
	case errors.As(err, &refused):
		return ExitRefused
	}
	return ExitError
}

package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"trunkline/internal/service"
)

// child is a process that the demo keeps running.
type child struct {
	name string
	path string
	args []string
	log  string // file its output is appended to
	say  func(format string, args ...any)
}

const (
	restartAfter = 300 * time.Millisecond
	stopTime     = 15 * time.Second // then a child that ignores SIGTERM is killed
)

// run starts the process again whenever it ends, until ctx does.
func (c child) run(ctx context.Context) error {
	// A child is to die with us; the kernel watches the thread that made it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		began := time.Now()
		err := c.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) < time.Second && !killed(err) {
			return fmt.Errorf("%s ended at once (%w); its log is %s", c.name, err, c.log)
		}
		c.say("%s ended (%v); starting it again", c.name, err)
		select {
		case <-time.After(restartAfter):
		case <-ctx.Done():
			return nil
		}
	}
}

// killed is the end that somebody tries out, and no sign that the next start
// will fare no better.
func killed(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled()
}

func (c child) once(ctx context.Context) error {
	out, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.CommandContext(ctx, c.path, c.args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = service.Child(syscall.SIGTERM)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTime
	if err := cmd.Start(); err != nil {
		return err
	}
	c.say("%s runs as process %d", c.name, cmd.Process.Pid)
	if err := cmd.Wait(); err != nil {
		return err
	}
	return fmt.Errorf("exit status 0")
}

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

var errEnded = errors.New("ended by itself")

const stopTime = 10 * time.Second // then a child that ignores SIGTERM is killed

// family is every process that bench has started, in a directory of its own.
// It is used by one goroutine, which has its thread to itself: the kernel
// kills a child when the thread that made it ends, however bench ends.
type family struct {
	dir      string
	children []*child
}

// child is a process that runs until it is stopped.
type child struct {
	name string
	cmd  *exec.Cmd
	log  *os.File
	done chan struct{} // closed when it has ended
	err  error         // how; set before done is closed
}

// start runs argv. stdin and stdout may be nil; what the child says on standard
// error, and on standard output if stdout is nil, goes to its log.
func (f *family) start(name string, argv []string, stdin io.Reader, stdout *os.File) (*child, error) {
	log, err := os.OpenFile(filepath.Join(f.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	c := &child{name: name, cmd: exec.Command(argv[0], argv[1:]...), log: log, done: make(chan struct{})}
	c.cmd.Stdin, c.cmd.Stderr, c.cmd.Stdout = stdin, log, log
	if stdout != nil {
		c.cmd.Stdout = stdout
	}
	own(c.cmd)
	if err := c.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), log.Close())
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	f.children = append(f.children, c)
	return c, nil
}

// own keeps the terminal's Ctrl-C from a child, which is ours to pass on, and
// makes it end with us.
func own(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// stop ends all children, the newest first.
func (f *family) stop() {
	for i := len(f.children) - 1; i >= 0; i-- {
		f.children[i].stop()
	}
}

func (c *child) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-c.done:
	case <-time.After(stopTime):
		_ = c.cmd.Process.Kill()
		<-c.done
	}
	_ = c.log.Close()
}

// alive is an error with the end of the child's log if it has ended.
func (c *child) alive() error {
	select {
	case <-c.done:
		return fmt.Errorf("%s: %w; its last words:\n%s", c.name, cmp.Or(c.err, errEnded), c.tail())
	default:
		return nil
	}
}

func (c *child) tail() []byte {
	b, err := os.ReadFile(c.log.Name())
	if err != nil {
		return []byte(err.Error())
	}
	lines := bytes.SplitAfter(b, []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-8):], nil)
}

// forget empties the log: a relay that logs requests would fill the disk.
func (c *child) forget() error { return c.log.Truncate(0) }

// await polls until ready is nil.
func (c *child) await(ctx context.Context, within time.Duration, ready func() error) error {
	deadline := time.Now().Add(within)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		if dead := c.alive(); dead != nil {
			return dead
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not ready after %v: %w; its last words:\n%s", c.name, within, err, c.tail())
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

package target

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"trunkline/internal/service"
)

// Process is a program of an installation's, which may be ended and started
// again.
type Process struct {
	Name string
	Path string
	Args []string
	Env  []string // beside this process's own
	Log  string   // its output is appended to this file
	// Ready asks whether it can do its work.
	Ready func(context.Context) error

	mu   sync.Mutex
	cmd  *exec.Cmd // nil: not running
	done chan struct{}
	err  error // of the last one, once done is closed
}

const startTime = 60 * time.Second

// Start runs it and waits until it is ready.
func (p *Process) Start(ctx context.Context) error {
	if err := p.launch(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		err := p.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.Ended():
			return fmt.Errorf("%s ended at once; its log is %s: %w", p.Name, p.Log, errors.Join(errEnded, p.err))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %v; its log is %s: %w", p.Name, startTime, p.Log, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (p *Process) launch() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	out, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(p.Path, p.Args...)
	cmd.Env = append(os.Environ(), p.Env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = service.Child(syscall.SIGKILL) // Ctrl-C is ours to pass on
	started, done := make(chan error, 1), make(chan struct{})
	go func() {
		// It is to die with us; the kernel watches the thread that made it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		err = cmd.Wait()
		p.mu.Lock()
		p.err, p.cmd = err, nil
		p.mu.Unlock()
		close(done)
	}()
	if err := <-started; err != nil {
		return err
	}
	p.cmd, p.done, p.err = cmd, done, nil
	return nil
}

func (p *Process) Ended() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

func (p *Process) Signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(s) // it has ended, which is as well
	}
}

func (p *Process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd != nil
}

// Stop asks it to end, and after patience makes it.
func (p *Process) Stop(patience time.Duration) error {
	if !p.Running() {
		return nil
	}
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.Ended():
	case <-time.After(patience):
		p.Kill()
		return fmt.Errorf("%s had not ended %v after SIGTERM and was killed; its log is %s", p.Name, patience, p.Log)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return fmt.Errorf("%s: %w; its log is %s", p.Name, p.err, p.Log)
	}
	return nil
}

func (p *Process) Kill() {
	if p.Running() {
		p.Signal(syscall.SIGKILL)
		<-p.Ended()
	}
}

func (p *Process) Use(context.Context) (Use, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return Use{}, errEnded
	}
	return UseOf(p.cmd.Process.Pid)
}

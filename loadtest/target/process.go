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

// process is a program of the installation's, which may be ended and started
// again.
type process struct {
	name  string
	path  string
	args  []string
	log   string // its output is appended to this file
	admin string // host:port

	mu   sync.Mutex
	cmd  *exec.Cmd // nil: not running
	done chan struct{}
	err  error // of the last one, once done is closed
}

const startTime = 60 * time.Second

// start runs it and waits until it is ready.
func (p *process) start(ctx context.Context) error {
	if err := p.launch(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		err := service.Ready(ctx, p.admin)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended():
			return fmt.Errorf("%s ended at once; its log is %s: %w", p.name, p.log, errors.Join(errEnded, p.err))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %v; its log is %s: %w", p.name, startTime, p.log, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (p *process) launch() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(p.path, p.args...)
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

func (p *process) ended() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(s) // it has ended, which is as well
	}
}

func (p *process) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd != nil
}

// stop asks it to end, and after patience makes it.
func (p *process) stop(patience time.Duration) error {
	if !p.running() {
		return nil
	}
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended():
	case <-time.After(patience):
		p.kill()
		return fmt.Errorf("%s had not ended %v after SIGTERM and was killed; its log is %s", p.name, patience, p.log)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return fmt.Errorf("%s: %w; its log is %s", p.name, p.err, p.log)
	}
	return nil
}

func (p *process) kill() {
	if p.running() {
		p.signal(syscall.SIGKILL)
		<-p.ended()
	}
}

func (p *process) use(context.Context) (Use, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return Use{}, errEnded
	}
	return UseOf(p.cmd.Process.Pid)
}

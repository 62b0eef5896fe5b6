//go:build unix

package program

import (
	"os/exec"
	"syscall"
)

// alone has cmd run in a process group of its own, which is killed with it.
func alone(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

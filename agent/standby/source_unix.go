//go:build unix

package standby

import (
	"io/fs"
	"os"
	"os/exec"
	"syscall"
)

// openFlags: a FIFO must not hold us up.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK

func inode(info fs.FileInfo) uint64 {
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		return sys.Ino
	}
	return 0
}

// alone has cmd run in a process group of its own, which is killed with it.
func alone(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

package target

import "syscall"

// attributes keep the terminal's Ctrl-C away, and let the process die with us.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

package service

import "syscall"

// Child is how a process is started that is a part of this one: the terminal's
// Ctrl-C is for its parent alone, which passes it on in order, and if the
// parent dies it gets end.
func Child(end syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: end}
}

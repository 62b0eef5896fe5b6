package service

import "syscall"

// Child is how a process is started that is a part of this one: the terminal's
// Ctrl-C is for its parent alone. It is not told of its parent's death.
func Child(syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

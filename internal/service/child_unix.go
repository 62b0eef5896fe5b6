//go:build unix && !linux

package service

import "syscall"

// Child is how a process is started that is a part of this one: the terminal's
// Ctrl-C is for its parent alone. Only Linux can tell it of its parent's death.
func Child(syscall.Signal) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

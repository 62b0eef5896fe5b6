//go:build unix && !linux

package target

import "syscall"

// attributes keep the terminal's Ctrl-C away.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

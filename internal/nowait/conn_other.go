//go:build !linux

package nowait

import "net"

// Wrap is c: its calls are the scheduler's.
func Wrap(c net.Conn) net.Conn { return c }

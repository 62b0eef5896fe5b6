//go:build unix

package standby

import (
	"io/fs"
	"os"
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

package evtls

import (
	"errors"

	"golang.org/x/sys/unix"
)

const canWait = true

// readable says whether a read would not have to wait.
func readable(fd int) bool {
	var b [1]byte
	_, _, err := unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return !errors.Is(err, unix.EAGAIN)
}

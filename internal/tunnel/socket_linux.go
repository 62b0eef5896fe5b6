package tunnel

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// unsentMax is how much the kernel may hold that it has not sent yet. Beyond
// it frames wait here, where a small one need not stand behind 4 MiB.
const unsentMax = 128 << 10

// tuneSocket makes the kernel give up on a peer that acknowledges nothing for
// silence. It does nothing to what is no TCP connection.
func tuneSocket(c net.Conn, silence time.Duration) {
	t, ok := socket(c).(*net.TCPConn)
	if !ok {
		return
	}
	// Options that a kernel does not have are no reason to do without a tunnel:
	// our own pings find a dead peer too.
	_ = t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: silence / 3, Interval: silence * 2 / 9, Count: 3})
	raw, err := t.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silence.Milliseconds()))
		_ = unix.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentMax)
	})
}

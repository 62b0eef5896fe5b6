package tunnel_test

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"trunkline/internal/tunnel"
)

// A peer behind a cut cable is found by the kernel while we send, and by
// keep-alive probes while we do not; and what the kernel holds is little.
func TestSocketOptions(t *testing.T) {
	var ends []net.Conn
	cfg := tunnel.Config{Silence: 45 * time.Second}
	start(t, setup{relay: cfg, agent: cfg, conns: func(t testing.TB) (net.Conn, net.Conn) {
		a, b := tcpPair(t)
		ends = []net.Conn{a, b}
		return a, b
	}})
	for _, c := range ends {
		raw, err := c.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		option := func(level, name, want int) {
			t.Helper()
			err := raw.Control(func(fd uintptr) {
				if got, err := unix.GetsockoptInt(int(fd), level, name); err != nil || got != want {
					t.Errorf("option %d is %d, %v, want %d", name, got, err, want)
				}
			})
			if err != nil {
				t.Error(err)
			}
		}
		option(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 45_000)
		option(unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
		option(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15)
		option(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 10)
		option(unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3)
		option(unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, 128<<10) // the rest waits where small frames can overtake it
	}
}

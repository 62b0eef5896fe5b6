//go:build !linux

package tunnel

import (
	"net"
	"time"
)

// tuneSocket makes the kernel probe an idle peer. Elsewhere than on Linux our
// own pings alone find a peer that is gone while we send.
func tuneSocket(c net.Conn, silence time.Duration) {
	if t, ok := socket(c).(*net.TCPConn); ok {
		_ = t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: silence / 3, Interval: silence * 2 / 9, Count: 3})
	}
}

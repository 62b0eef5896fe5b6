//go:build !linux

package evtls

import (
	"errors"
	"net"
)

// canWait is false where a socket cannot be asked: ReadLean is Read there.
const canWait = false

func readable(int) bool { return true }

func readNow(*Conn, []byte) (int, error) { return 0, errors.ErrUnsupported }

func (*Conn) writeNow([]byte) (int, error) { return 0, nil }

func (*Conn) writevNow(net.Buffers) (int, error) { return 0, nil }

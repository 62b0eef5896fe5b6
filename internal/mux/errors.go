package mux

import (
	"errors"
	"fmt"
	"syscall"
)

// ProtocolError is what the peer did that it must not. It ends the session.
type ProtocolError string

func (e ProtocolError) Error() string { return "mux: the peer sent " + string(e) }

const (
	ErrVersion   = ProtocolError("a frame of another version")
	ErrType      = ProtocolError("a frame of an unknown type")
	ErrFlags     = ProtocolError("flags that make no sense here")
	ErrDuplicate = ProtocolError("a second SYN for a stream")
	ErrID        = ProtocolError("a stream id that is not its to use")
	ErrWindow    = ProtocolError("more than a stream's window")
	ErrOverflow  = ProtocolError("window updates beyond 32 bits")
	ErrAfterFIN  = ProtocolError("data behind a FIN")
	ErrOpened    = ProtocolError("a SYN, and may open no streams")
	ErrFlood     = ProtocolError("more pings or streams than can be answered")
	ErrGoAway    = ProtocolError("a GoAway with an error")
)

var (
	// ErrPeerClosed is a write to a stream that the far side has closed.
	ErrPeerClosed = fmt.Errorf("mux: closed by the far side: %w", syscall.EPIPE)
	// ErrReset is a read of a stream that the far side has reset.
	ErrReset = fmt.Errorf("mux: %w", syscall.ECONNRESET)
	// ErrLost is the default of Config.Lost.
	ErrLost = errors.New("mux: the session is over")
	// ErrExhausted means that all stream ids are used up.
	ErrExhausted = errors.New("mux: no stream ids are left")
	// ErrWouldBlock is TryRead's when nothing is there. It is Temporary.
	ErrWouldBlock error = wouldBlock{}
)

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "mux: nothing to read now" }
func (wouldBlock) Temporary() bool { return true }

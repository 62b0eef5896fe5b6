// Package mux is a session of many streams on one connection, in the wire
// format of yamux (hashicorp/yamux, spec.md), written for relays that hold tens
// of thousands of them.
//
//	bytes in ──▶ Receive ──▶ core ──▶ streams' queues ──▶ Read
//	bytes out ◀── Config.Write ◀── flush ◀── core ◀── Write
//
// The core is a state machine without goroutines, locks, clocks or sockets.
// Session gives it a lock and blocking streams. Nobody sits and waits in it:
// whoever has bytes from the peer calls Receive, which never blocks, and
// whoever has something to send writes it to the connection together with what
// others have queued meanwhile. A session on which nothing happens is a few
// hundred bytes: no goroutine, no timer, no buffer.
//
// Of yamux's rules these are ours to choose, and legal:
//   - SYN and ACK ride on data, and a FIN goes with it in one write; a frame's
//     body is at most 16 KiB.
//   - Control frames go first, then streams that have just got something to
//     send, then the others in turns, a frame each.
//   - Windows start at 256 KiB and double while they are what limits a stream
//     (its window was used up within four round trips), within a budget.
//   - Any frame on a stream acknowledges it.
package mux

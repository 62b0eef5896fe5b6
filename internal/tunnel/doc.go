// Package tunnel is the connection between an agent and a relay: one TLS 1.3
// connection that the agent dials, a hello that proves who it is, and then a
// multiplexer in which the relay opens streams towards the PBX. PROTOCOL.md
// beside this file is the contract on the wire.
//
// It does not decide who may connect (Accept's admit does), what a stream
// carries (HTTP, as it happens), or when to connect again. It is the only user
// of a multiplexer; what that one lacks is made up for in wire.go and conn.go.
//
// Accept and Dial own the connection they are given, whatever they return.
// A Relay or an Agent owns its streams: when its Run returns, every stream is
// dead and every goroutine of the tunnel is gone.
package tunnel

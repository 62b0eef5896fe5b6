// Package routes shows what the routes of a very large installation cost. A
// nats-server has them all, as many simulated relays as asked for announce them
// as relays do, and a relay under test learns them when it starts. Then one of
// the simulated relays is lost: its PBXs are said to be at the others, and it is
// measured when the last watcher knows.
//
// PBXs and tunnels there are none: what agents and handshakes cost is measured
// by scenarios, with thousands and not with a million.
package routes

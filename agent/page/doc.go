// Package page is the Remote Management page: where the PBX's own staff connect
// it to a provider, see who is in, and close the door. It listens on loopback,
// in plain HTTP, for browsers on the PBX (or through a tunnel to it).
//
// It decides nothing: what it shows is a manage.View, and what it does is a
// manage.Desk's. Every request passes door.go; every word from elsewhere passes
// markup.go, which is what html/template would be if a fifth of the agent's
// size could be had for it.
package page

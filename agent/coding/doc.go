// Package coding compresses what a portal sends as it is, on the PBX, before
// the thin uplink: as the Content-Encoding that the browser accepts, so that
// the relay passes bytes as ever.
//
//	relay --stream--> Conn --requests, unchanged--> portal
//	browser <------- Conn <--answers, some coded-- portal
//
// A Conn reads along. Of each request it keeps what decides about the answer
// (request.go); of each answer it reads the head and follows the body to its
// end (answer.go). choose.go has the rules of what is compressed, which are
// about size, type, caches and BREACH.
//
// What it reads is read as the relay reads it, and with no more goodwill: the
// two must agree on where an answer ends, or one person's answer would become
// another's. Whatever it cannot be sure of, an odd head, an upgrade, an answer
// that nobody asked for, makes a Conn blind: from that byte on it passes bytes,
// for good. Nothing is ever put right, reordered or invented; a portal's break
// stays a break.
//
// It holds nothing back: whatever one Write brought leaves with it.
package coding

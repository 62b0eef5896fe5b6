// Package token issues and verifies what Trunkline lets in by: the pass with
// which a device proves itself to a relay (a JWT, RFC 7519, signed with
// Ed25519 and bound to the device's key by cnf, RFC 7800), the one-time
// handover that carries a click in the console to a site's origin, and the
// sealed cookie of a visit.
//
// It is pure: keys and the time are arguments. Every key has an id, a first
// and a last moment; a token names its key, so keys rotate without notice.
package token

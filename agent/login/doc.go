// Package login signs visitors of passwordless visits in at a PBX's portal as
// its super administrator: by a header that the portal trusts on loopback
// (Proxy), or by the portal's own sign-in form (Signer). What the portal is
// like is declared in the agent's configuration; nothing here is for one make.
//
// It does not decide who is let in, and it knows neither tunnels nor where the
// portal is: it is given connections to it. The super administrator's password
// never leaves the PBX, and no request of a visitor's carries the trusted
// header to the portal but by our hand.
package login

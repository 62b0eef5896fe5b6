// Package local is the line between the command line and the agent that runs:
// JSON over HTTP on loopback, at an address and with a token that stand in a
// file of the agent's directory, which its owner alone can read. It carries a
// manage.Desk: what its Client does, its Server's desk does.
//
//	POST /hello {"nonce"} -> {"proof"}    HMAC-SHA-256 of the nonce by the token
//	POST /view, /change, /end-visit, /reset-page    Authorization: Bearer <token>
//
// The client says its token, and passwords, only to who has proved to know it:
// after a crash the address in the file may be somebody else's.
package local

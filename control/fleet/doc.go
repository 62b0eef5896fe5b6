// Package fleet is the rules: who may activate a device, when a connection is
// free, what a status means, who may visit what. It knows no HTTP, no SQL and
// no NATS: the store is an interface, keys and relays' addresses are funcs,
// the time is a func.
//
// Every decision that a person or a device asked for leaves an audit entry,
// written in the same transaction as what it decided; a refusal too. Left out
// are requests that are malformed, and what strangers could fill the log with:
// of passwords that come too fast, and of renewals for devices that are not
// there, only the first ones are recorded. Metrics count all.
package fleet

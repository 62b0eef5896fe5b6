// Package peer is the links between relays: few TLS connections to each other
// relay, held open, on which a request for a device whose tunnel is there costs
// one stream and one hop. PROTOCOL.md beside this file is the contract on the
// wire.
//
//	edge ──Open──▶ link ══mTLS══ link ──Admit──▶ the device's tunnel
//
// HTTP is parsed by the relay that the browser reached. The other one joins two
// streams and looks at nothing. It opens its end to a tunnel of its own or
// refuses, so that nothing goes round in circles.
//
// It does not know where a device is, nor who may visit it. It owns every link
// and its connection; a stream belongs to who opened it, or to the goroutine
// that serves it.
package peer

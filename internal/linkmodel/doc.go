// Package linkmodel is a network link in memory, for tests: a rate, a delay, a
// queue and losses, as a connection over a thin uplink meets them.
//
//	l := linkmodel.New(linkmodel.Symmetric(10*linkmodel.Mbit, 100*time.Millisecond))
//	near, far := l.Pipe()    // two ends in memory
//	conn := l.Wrap(tcp)      // or a real connection, seen through the link
//
// All connections of one Link share its two directions, as the connections of
// one site share its uplink: each packet takes its turn in one queue per
// direction, and what is behind waits. It is TCP's view, not IP's: bytes arrive
// in order and none is missing, and a lost packet is one that arrives late and
// holds up what is behind it on its connection.
//
// It knows no congestion control. A writer may fill the queue, and then waits:
// Queue stands for the sender's socket buffer and the router's buffer together,
// and is the wait that an urgent byte finds before it. There is no slow start,
// and packet headers cost nothing.
//
// Time is time.Now and timers, and nothing but channels is waited on: in a
// testing/synctest bubble a Pipe takes no real time at all.
package linkmodel

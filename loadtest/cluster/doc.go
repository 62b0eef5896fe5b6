// Package cluster runs a whole installation of real processes, lets parts of it
// fail one after the other under a steady load, and says what was lost.
//
//	network   where the nodes are: a network namespace each, or loopback addresses
//	nodes     3 nats-servers, PostgreSQL, 2 controls behind a balancer, 3 relays
//	load      simulated PBXs, and visits with every byte checked
//	failures  what is done to the nodes, each in a file of its own
//	row       what one failure cost, and whether that is within its goal
//
// It judges what visitors and staff see from outside; how a relay or control
// does it is their own tests' to say.
package cluster

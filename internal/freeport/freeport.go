// Package freeport finds ports for programs that must be told theirs.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Programs that are told their ports, and are started again on them, get ports
// that the kernel gives nobody for an outgoing connection: those of Linux begin
// at 32768.
const low, high = 12_000, 32_000

// Find finds so many that are free on loopback, each another one.
func Find(n int) (out []string, err error) {
	for range 100 * n {
		port := strconv.Itoa(low + rand.IntN(high-low))
		ln, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue // somebody else's
		}
		defer ln.Close() // all at the end, so that they differ
		if out = append(out, port); len(out) == n {
			return out, nil
		}
	}
	return nil, fmt.Errorf("of the ports from %d to %d there are no %d free on 127.0.0.1", low, high, n)
}

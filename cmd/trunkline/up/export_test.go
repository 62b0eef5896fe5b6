package up

import "trunkline/relay"

// DrainForTest is how the relay of an installation with c stops.
func DrainForTest(c Config) relay.Drain { return c.drain() }

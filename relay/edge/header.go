package edge

import "trunkline/internal/tunnel"

// Header is what a stream to an agent begins with.
type Header = tunnel.Header

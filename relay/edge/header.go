package edge

import "trunkline/internal/id"

// Header is what a stream to an agent begins with.
type Header struct {
	Service string
	Visit   id.Visit
	Who     string
	Method  string
}

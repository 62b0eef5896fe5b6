package tunnel

import "trunkline/internal/id"

// Place is where a relay can be dialled.
type Place struct {
	Relay id.Relay `json:"relay"`
	Addr  string   `json:"addr"` // host:port
}

// Addrs are the addresses alone.
func Addrs(places []Place) []string {
	var out []string
	for _, p := range places {
		out = append(out, p.Addr)
	}
	return out
}

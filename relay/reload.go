package relay

import "trunkline/relay/edge"

// LiveKeys are those of Config that Reload puts in force.
func LiveKeys() []string {
	return []string{
		"proxy_protocol", "edge.access_log", "edge.trusted_proxies", "edge.limits.conns",
		"edge.limits.streams_per_account", "edge.limits.opens_per_device", "edge.limits.opens_per_account",
		"edge.limits.bytes_per_device", "edge.limits.bytes_per_account",
		"tunnels.max", "tunnels.rate", "drain",
	}
}

// Reload puts LiveKeys of a valid c in force, and looks at the certificate's
// files at once. What is under way goes on as it began.
func (r *Relay) Reload(c Config) {
	if r.public.files != nil {
		r.public.files.Check()
	}
	r.ln.Trust(c.ProxyProtocol)
	r.edge.Apply(c.Edge.live())
	r.uplink.SetMax(c.Tunnels.Max)
	r.public.shaking.setRate(c.Tunnels.Rate)
	r.drainAs.Store(&c.Drain)
}

func (e Edge) live() edge.Live {
	return edge.Live{TrustedProxies: e.TrustedProxies, Limits: e.Limits, AccessLog: e.AccessLog}
}

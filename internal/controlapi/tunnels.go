package controlapi

// AsAccount is SecondTunnel of a device that has no say of its own.
const AsAccount = "account"

// TunnelSettings are where the tunnels of an account's devices should be.
type TunnelSettings struct {
	Region       string `json:"region" doc:"Agents go to relays of this region first, and to others if none of it takes them; empty: to any."`
	SecondTunnel bool   `json:"second_tunnel" doc:"Each agent keeps a second, idle tunnel at another relay, which serves at once when the first is lost."`
}

// TunnelSettingsEdit changes what is not absent. Agents that are
// connected hear of it within seconds.
type TunnelSettingsEdit struct {
	Region       *string `json:"region,omitempty" max:"63" example:"eu"`
	SecondTunnel *bool   `json:"second_tunnel,omitempty"`
}

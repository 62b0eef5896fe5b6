package fault

// reasons say in a person's words why a device is not connected.
var reasons = map[Code]string{
	PeerSilent:     "The PBX stopped answering. Its network or its power may be out.",
	ConnectionLost: "The connection to the PBX broke.",
	AgentStopped:   "The agent on the PBX was stopped.",
	RelayLost:      "The relay that held the connection went away; the PBX is expected back within a minute.",
	Draining:       "The relay is restarting; the PBX is moving to another one.",
	Replaced:       "The PBX connected again elsewhere.",
	DeviceRemoved:  "The provider removed this PBX.",
	Protocol:       "The agent sent what the relay does not understand. Update it.",
	SiteMoved:      "The PBX is joining or leaving a hot-standby pair; it is expected back within seconds.",
	RemoteOff:      "Remote access was switched off on the PBX.",
	TooMany:        "The agent sent more than it may.",
	PortalRefused:  "The PBX is connected, and its portal cannot be reached there.",
	PortalTimeout:  "The PBX is connected, and its portal does not answer.",
	PortalReset:    "The PBX is connected, and its portal breaks connections off.",
	PortalGarbage:  "The PBX is connected, and what answers there is no web portal.",
}

// Reason is a sentence for a device's disconnect code, "" for "".
func Reason(c Code) string {
	if c == "" {
		return ""
	}
	if s, ok := reasons[c]; ok {
		return s
	}
	return "The connection ended (" + string(c) + ")."
}

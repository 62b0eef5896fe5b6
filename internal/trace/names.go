package trace

// Attributes that the semantic conventions have no name for.
const (
	Visit   = "trunkline.visit"
	Site    = "trunkline.site"
	Device  = "trunkline.device"
	Service = "trunkline.service" // of the device: portal, login
	Peer    = "trunkline.peer"    // the other relay
	Method  = "trunkline.method"  // how the visitor is signed in
	Event   = "trunkline.event"   // of a visit, that a relay reports
)

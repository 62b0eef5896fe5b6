package tunnel

// Tracked counts the streams that the ends still follow, but for the control
// stream.
func Tracked(r *Relay, a *Agent) (relay, agent int) {
	return max(r.mux.Len(), 1) - 1, max(a.mux.Len(), 1) - 1
}

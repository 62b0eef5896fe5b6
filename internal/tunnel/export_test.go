package tunnel

// Tracked counts the streams that the ends still follow, but for the control
// stream, and that yamux does.
func Tracked(r *Relay, a *Agent) (relay, agent int) {
	f := func(t *session) int {
		t.mu.Lock()
		defer t.mu.Unlock()
		return max(len(t.streams), t.mux.NumStreams()) - 1
	}
	return f(r.session), f(a.session)
}

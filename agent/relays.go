package agent

import "slices"

// relays is the list of addresses to try and where in it we are. Control
// shuffles it for each agent, so its order is kept.
type relays struct {
	list []string
	at   int
}

// update takes a new list and goes on with the address it was at, if that is
// still in it.
func (r *relays) update(list []string) {
	if slices.Equal(list, r.list) {
		return
	}
	now, _ := r.current()
	r.list, r.at = list, max(slices.Index(list, now), 0)
}

func (r *relays) current() (string, bool) {
	if len(r.list) == 0 {
		return "", false
	}
	return r.list[r.at], true
}

// next goes on to the following address, if there is another one. It reports
// that the whole list has been tried.
func (r *relays) next() (wrapped bool) {
	if len(r.list) == 0 {
		return true
	}
	r.at = (r.at + 1) % len(r.list)
	return r.at == 0
}

package agent

import "slices"

// relays is the list of addresses to try and where in it we are. Control orders
// it for each agent, so its order is kept.
type relays struct {
	given []string // by control
	list  []string // given, and before it where a relay sent us
	at    int
	hints []string // where a relay sends us: tried before the list goes on
}

// update takes a new list and goes on with the address it was at, if that is
// still in it.
func (r *relays) update(list []string) {
	if slices.Equal(list, r.given) {
		return
	}
	at := 0
	if len(r.list) > 0 {
		at = max(slices.Index(list, r.list[r.at]), 0)
	}
	r.given, r.list, r.at = list, list, at
}

func (r *relays) current() (string, bool) {
	switch {
	case len(r.hints) > 0:
		return r.hints[0], true
	case len(r.list) == 0:
		return "", false
	}
	return r.list[r.at], true
}

// move leaves the current address: for the first of hints, and if none of them
// can be had for the next one of the list.
func (r *relays) move(hints []string) {
	now, _ := r.current()
	r.next()
	r.hints = slices.DeleteFunc(slices.Clone(hints), func(a string) bool { return a == now })
}

// arrived is told that there is a tunnel to the current address, which is where
// it is sought when it is lost.
func (r *relays) arrived() {
	if len(r.hints) == 0 {
		return
	}
	now := r.hints[0]
	r.hints = nil
	if r.at = slices.Index(r.list, now); r.at < 0 {
		r.list, r.at = append([]string{now}, r.given...), 0
	}
}

// settle is arrived for a tunnel to addr, whichever the current address was.
func (r *relays) settle(addr string) {
	r.hints = []string{addr}
	r.arrived()
}

// next goes on to the following address, if there is another one. It reports
// that the whole list has been tried.
func (r *relays) next() (wrapped bool) {
	switch {
	case len(r.hints) > 0:
		r.hints = r.hints[1:]
		return false
	case len(r.list) == 0:
		return true
	}
	r.at = (r.at + 1) % len(r.list)
	return r.at == 0
}

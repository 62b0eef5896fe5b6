package peer

import (
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// Notice is a word from one relay to another that asks for no answer. Like a
// stream it comes on one of its own, and may be lost with its link.
type Notice struct {
	Kind   string
	Device id.Device
	Visit  id.Visit
	Code   fault.Code
}

// Kinds of notices. One that is not known is left out.
const (
	Leaving    = "leaving"     // idle streams to the device here should be closed: they hold it up, or take the room of others
	VisitEnded = "visit_ended" // of a visit that came from here, and why
	Doubt      = "doubt"       // a request of a visit to the device there gets no answer: its portal should be asked
	EndVisit   = "end_visit"   // the staff of the device here want a visit to end
)

func (n Notice) header(from id.Relay) header {
	return header{Hop: 1, From: from, Device: n.Device, Visit: n.Visit, Notice: n.Kind, Code: n.Code}
}

func (h header) notice() Notice {
	return Notice{Kind: h.Notice, Device: h.Device, Visit: h.Visit, Code: h.Code}
}

func (n Notice) valid() error {
	if n.Device == "" || n.Kind != Leaving && n.Visit == "" || n.Kind == VisitEnded && !validCode(n.Code) {
		return fault.New(fault.Protocol, "The notice between relays lacks its device, visit or code.")
	}
	return nil
}

// Tell tells r, if there is a link to it. It never blocks.
func (p *Peers) Tell(r id.Relay, n Notice) {
	if q := p.find(r); q != nil {
		if l, _ := q.best(); l != nil {
			l.tell(n)
		}
	}
}

// TellUsers tells the relays that have streams to d here.
func (p *Peers) TellUsers(d id.Device, n Notice) {
	p.each(func(q *peer) {
		q.mu.Lock()
		var l *link
		for _, x := range q.links {
			if x.uses(d) {
				l = x
				break
			}
		}
		q.mu.Unlock()
		if l != nil {
			l.tell(n)
		}
	})
}

func (l *link) tell(n Notice) {
	b, err := n.header(l.peers.o.Relay).encode()
	if err != nil {
		return
	}
	noWait := make(chan struct{})
	close(noWait)
	s, err := l.mux.Open(noWait)
	if err != nil {
		return // the link is about to end, or full
	}
	s.Post(b) // if it does not get there, neither would anything else
	_ = s.Close()
}

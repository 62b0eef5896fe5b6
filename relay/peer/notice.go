package peer

import (
	"context"
	"slices"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/mux"
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
	seen       = "seen"        // not a notice but a question: when was a visit last busy there? See Peers.Seen
	closing    = "closing"     // of the link it comes on: the streams that the relay here serves on it end in moments
)

func (n Notice) header(from id.Relay) header {
	return header{Hop: 1, From: from, Device: n.Device, Visit: n.Visit, Notice: n.Kind, Code: n.Code}
}

func (h header) notice() Notice {
	return Notice{Kind: h.Notice, Device: h.Device, Visit: h.Visit, Code: h.Code}
}

func (n Notice) valid() error {
	switch {
	case n.Kind == closing, n.Kind == seen && n.Visit != "":
		return nil
	}
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

// TellAll tells every relay that there is a link to.
func (p *Peers) TellAll(n Notice) {
	p.each(func(q *peer) {
		if l, _ := q.best(); l != nil {
			l.tell(n)
		}
	})
}

// TellClosing tells the others that the streams which are served here end in moments:
// those that wait for no answer should say goodbye. See Stream.Closing.
func (p *Peers) TellClosing() {
	p.each(func(q *peer) {
		q.mu.Lock()
		links := slices.Clone(q.links)
		q.mu.Unlock()
		for _, l := range links {
			l.tell(Notice{Kind: closing})
		}
	})
}

// hear takes a notice.
func (l *link) hear(n Notice) {
	if n.Kind == closing {
		l.close.Do(func() { close(l.closing) })
		return
	}
	l.peers.o.Heard(l.relay, n)
}

// patience is how long the end of a visit waits for room on a link: nobody else would
// say it.
const patience = 10 * time.Second

func (l *link) tell(n Notice) {
	b, err := n.header(l.peers.o.Relay).encode()
	if err != nil {
		return
	}
	noWait := make(chan struct{})
	close(noWait)
	if s, err := l.mux.Open(noWait); err == nil {
		l.post(s, b)
	} else if n.Kind == VisitEnded && !l.ending.Load() { // full
		go func() { // not of served, which may be waited for already; it ends with ctx
			ctx, cancel := context.WithTimeout(l.ctx, patience)
			defer cancel()
			if s, err := l.mux.Open(ctx.Done()); err == nil {
				l.post(s, b)
			}
		}()
	}
}

func (l *link) post(s *mux.Stream, b []byte) {
	s.Post(b) // if it does not get there, neither would anything else
	_ = s.Close()
}

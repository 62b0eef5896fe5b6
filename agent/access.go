package agent

import (
	"context"
	"net"
	"time"

	"trunkline/agent/manage"
	"trunkline/internal/fault"
	"trunkline/internal/tunnel"
)

// methodPasswordless is token.MethodPasswordless: that package is the planes'
// own, and not on the PBX.
const methodPasswordless = "passwordless"

// Access is how the PBX's staff let visitors in.
type Access struct {
	Account      bool // there is a dedicated remote account
	Passwordless bool
	AutoLogout   time.Duration // without an operation, of passwordless visits
}

func accessOf(s manage.Settings) Access {
	return Access{Account: s.Account != nil, Passwordless: s.Passwordless, AutoLogout: time.Duration(s.AutoLogout) * time.Minute}
}

// SetAccess lets x take effect: relays are told, and visits by a way that is
// closed now end.
func (a *Agent) SetAccess(x Access) {
	a.mu.Lock()
	was := a.access
	a.access = x
	a.mu.Unlock()
	if was.Passwordless && !x.Passwordless {
		a.endVisits(fault.EndedByPBX, func(v manage.Visit) bool { return v.Method == methodPasswordless })
	}
	if was != x {
		a.sendStatus()
	}
}

// sendStatus tells the relays that hold a tunnel what is true now.
func (a *Agent) sendStatus() {
	a.tellNow(a.state.tunnels()...)
	a.second.tell(func(h *held) { a.tell(h, a.secondStatus()) })
}

// visited takes h's word that somebody visits, and ends the visit if it may not
// be: it was ended here, or its way in was closed meanwhile.
func (a *Agent) visited(h *held, v tunnel.Visit) {
	if !a.visits.came(h, v) {
		// If there is no room for it, streams of the visit are refused here.
		_ = h.link.EndVisit(v.ID)
		return
	}
	if v.Method == methodPasswordless && !a.passwordless() {
		a.endVisits(fault.EndedByPBX, func(o manage.Visit) bool { return o.ID == v.ID })
	}
}

// status is what relays are told of this PBX.
func (a *Agent) status() tunnel.Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	var s tunnel.Status
	if a.portal != nil {
		s = a.portal.status()
	}
	s.Standby, s.Region = a.pair.Current(), a.passes.identity().Region
	s.Logins = tunnel.Logins{
		Account: a.access.Account, Passwordless: a.access.Passwordless && a.signIn.barred == "", AutoLogout: int(a.access.AutoLogout / time.Minute),
	}
	return s
}

// barred says why nobody is let in without a password, whatever the switch
// says; "" if there is a way.
func (a *Agent) barred() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.signIn.barred
}

// streams serves the streams of one life's tunnels.
func (a *Agent) streams() func(context.Context, tunnel.Header, net.Conn) {
	p, s := a.portal, a.signIn
	return func(ctx context.Context, h tunnel.Header, c net.Conn) {
		if h.Method == methodPasswordless && !a.passwordless() { // before enter, whose reason would say less
			_ = tunnel.RefuseStream(c, fault.New(fault.Forbidden, "Passwordless login is switched off on the PBX."))
			return
		}
		leave, f := a.visits.enter(h.Visit, func() { c.Close() })
		if f != nil {
			_ = tunnel.RefuseStream(c, f) // the stream is over either way
			return
		}
		defer leave()
		if h.Service == tunnel.ServiceLogin {
			a.serveSignIn(ctx, s, h, c)
			return
		}
		p.serve(ctx, h, c)
	}
}

// passwordless reports whether visitors are let in without a password now.
func (a *Agent) passwordless() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.access.Passwordless && a.signIn.barred == ""
}

package uplink

import (
	"crypto/ed25519"
	"errors"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

// link is one tunnel of a device, from begin to over. There are tens of
// thousands, mostly idle: what it does not need it does not keep.
type link struct {
	u       *Uplink
	device  id.Device
	site    id.Site
	account id.Account
	key     ed25519.PublicKey // the device's: it has proved it
	agent   string            // its version
	remote  string
	relay   *tunnel.Relay
	since   time.Time
	gone    func()
	silent  *time.Timer // until the first status; the tunnel's callbacks come one at a time

	issued   atomic.Int64                // of the newest pass it has shown, unix seconds
	replaced atomic.Pointer[fault.Error] // set when a newer tunnel of the device is known of

	fault fault.Code // of the last probe; guarded by the uplink's words

	second  atomic.Bool // kept for when the device's first tunnel is lost; never again once it is the first
	leaving atomic.Bool // new streams go elsewhere; running ones go on
	asked   atomic.Bool // to move
	drained bool        // asked so by Drain, which alone looks at it

	away atomic.Pointer[string] // the region where it should be; nil: it is there, or may be anywhere
	sent atomic.Int64           // home: how long after since, in ns; 0: never

	words words // of visits, for the agent
}

// begin makes an admitted tunnel the device's own, and returns while it runs.
// Its pass was issued then.
func (l *link) begin(issued time.Time) {
	u := l.u
	if u.stay(l) {
		l.end(tunnel.ErrStopped)
	}
	u.take(l)
	// A revocation that came after the door and before take has found nothing.
	if f := u.o.Revoked(l.device, issued); f != nil {
		l.end(f)
	}
	l.log("tunnel up", zap.String("agent", l.agent))
	u.metrics.accepted.Inc()
	if !l.second.Load() {
		u.o.Arrived(l.device)
	}

	l.silent = time.AfterFunc(u.o.FirstStatus, func() {
		l.end(fault.New(fault.Protocol, "The agent sent no status."))
	})
	l.relay.Start(tunnel.Handlers{
		OnStatus: l.onStatus, OnPass: l.onPass, OnGoodbye: l.onGoodbye,
		OnEndVisit: func(v id.Visit) { u.o.EndVisit(l.device, v) },
	}, l.over)
}

func (l *link) onStatus(s tunnel.Status) {
	l.heardFirst()
	first := !s.Second && l.second.Swap(false)
	l.wishes(s.Region)
	l.u.announce(l, bus.Route{
		Relay: l.u.o.Relay, Device: l.device, Site: l.site, Account: l.account,
		Tunnel: l.relay.Welcome().Tunnel, Since: l.since, Portal: s.Portal, Standby: s.Standby, Logins: s.Logins,
		Agent: l.agent, Remote: l.remote, Second: l.second.Load(),
	})
	if first {
		l.log("second tunnel is the first now")
		l.u.metrics.promoted.Inc()
		l.u.o.Arrived(l.device)
	}
}

func (l *link) heardFirst() {
	if l.silent != nil {
		l.silent.Stop()
		l.silent = nil
	}
}

func (l *link) onGoodbye() { l.leave() }

// leave has new streams go elsewhere.
func (l *link) leave() {
	l.leaving.Store(true)
	l.u.o.Leaving(l.device)
}

func (l *link) onPass(raw string) error {
	p, err := l.u.o.Refresh(raw, l.device)
	switch {
	case err != nil:
		return err
	case !p.Key.Equal(l.key):
		// Whoever holds the tunnel has not proved that key to be theirs.
		return fault.New(fault.PassInvalid, "The pass is bound to another key than this tunnel's.")
	}
	l.issued.Store(max(l.issued.Load(), p.Issued.Unix()))
	return nil
}

// over is the tunnel's last word.
func (l *link) over(err error) {
	l.heardFirst()
	l.wishes("")
	l.u.release(l, l.reason(err))
	l.words.close()
	l.u.leave(l)
	l.gone()
}

// log does without a logger of its own, which would be the largest thing here.
func (l *link) log(msg string, fields ...zap.Field) {
	l.u.o.Log.Info(msg, append(fields,
		zap.String("remote", l.remote), zap.String("device", string(l.device)), zap.String("site", string(l.site)))...)
}

// route is what was announced of the tunnel, if that stands.
func (l *link) route() (bus.Route, bool) {
	r, ok := l.u.o.Announced(l.device)
	return r, ok && r.Down == "" && r.Tunnel == l.relay.Welcome().Tunnel
}

// end closes the tunnel for a reason; it stands unless the tunnel was ending
// already.
func (l *link) end(cause *fault.Error) {
	if cause.Code == fault.Replaced {
		l.replaced.Store(cause)
	}
	l.relay.Kill(cause)
}

// reason is why Run returned err. A tunnel that was at its end when a newer one
// took over counts as replaced: the newer one's word on the device stands.
func (l *link) reason(err error) *fault.Error {
	if c := l.replaced.Load(); c != nil {
		return c
	}
	var f *fault.Error
	if errors.As(err, &f) {
		return f
	}
	return fault.New(fault.ConnectionLost, "%v", err)
}

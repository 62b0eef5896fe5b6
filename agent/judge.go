package agent

import (
	"errors"
	"strings"
	"time"
	"unicode"

	"trunkline/internal/fault"
)

// verdict is what the end of an attempt or of a tunnel means.
type verdict struct {
	state  State
	code   fault.Code // "" if the other side did not say one
	reason string     // for a person
	hint   time.Duration
	renew  bool // another pass may help
	moved  bool // the pass is for another site than the device's
	slow   bool // only a person can help
}

// judge reads what a relay, control or the network said. err is not nil.
func judge(err error) verdict {
	var f *fault.Error
	if !errors.As(err, &f) {
		return verdict{state: ServerUnreachable, reason: Printable(err.Error())}
	}
	v := verdict{state: Connecting, code: f.Code, reason: Printable(f.Message), hint: f.Retry}
	switch f.Code {
	case fault.PassExpired, fault.PassInvalid:
		v.state, v.renew = Rejected, true
	case fault.SiteMoved:
		v.renew, v.moved = true, true
	case fault.DeviceRemoved:
		// The provider may take the PBX back, so the agent goes on asking.
		v.state, v.slow = DisconnectedByProvider, true
	case fault.Replaced:
		v.state, v.slow = Rejected, true
		v.reason = "another agent connected with this PBX's identity; see that only one has this key"
	case fault.NoConnections, fault.OverCapacity:
		v.state = OverCapacity
	case fault.RemoteOff:
		v.state = RemoteAccessOff
	case fault.LicenceExpired:
		v.state = LicenceExpired
	case fault.Unavailable, fault.NotReady, fault.Internal:
		v.state = ServerUnreachable
	case fault.TooMany, fault.Draining, fault.RelayLost, fault.ConnectionLost, fault.PeerSilent, fault.HelloTimeout, fault.AgentStopped:
	default:
		v.state = Rejected
	}
	return v
}

func retryHint(err error) time.Duration {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Retry
	}
	return 0
}

// Printable makes a text of the other side's fit for a terminal and a log.
func Printable(s string) string {
	const limit = 500
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "..."
	}
	return s
}

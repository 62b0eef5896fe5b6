package uplink

import (
	"time"

	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

const (
	// homeEvery is between two words to an agent of where its tunnel should be: that it
	// has stayed is because it does not get there.
	homeEvery = time.Hour
	// homeTime is how long an agent that was told may take to be there.
	homeTime = time.Minute
)

// wishes notes where the tunnel should be; "": anywhere. It is one of the tunnel's
// callbacks, which come one at a time.
func (l *link) wishes(region string) {
	var away *string
	if region != "" && region != l.u.o.Region {
		r := region // or each status would cost an allocation
		away = &r
	}
	switch was := l.away.Swap(away); {
	case was == nil && away != nil:
		l.u.away.Add(1)
	case was != nil && away == nil:
		l.u.away.Add(-1)
	}
}

// region is where the tunnel should be, if that is not where it is; "": it may be.
func (l *link) region() string {
	if r := l.away.Load(); r != nil {
		return *r
	}
	return ""
}

// wasSent reports whether the agent was told so in the time up to now.
func (l *link) wasSent(within time.Duration) bool {
	sent := l.sent.Load()
	return sent > 0 && time.Since(l.since)-time.Duration(sent) < within
}

// Away is how many tunnels should be in another region than this relay's.
func (u *Uplink) Away() int { return int(u.away.Load()) }

// Home tells up to n agents whose tunnels should be in another region where they
// could go, if to knows and nothing runs on the tunnel: nobody's download is cut for
// it. They go if they get there, new tunnel first; streams that came meanwhile have
// until deadline from then. It is not called twice at once.
func (u *Uplink) Home(n int, deadline time.Duration, to func(d id.Device, region string, second bool) []string) (told int) {
	u.links.Range(func(_ id.Device, l *link) bool {
		region := l.region()
		if region == "" || time.Since(l.since) < u.o.Settle || l.wasSent(homeEvery) || l.leaving.Load() || l.asked.Load() || l.relay.Streams() > 0 {
			return true
		}
		relays := to(l.device, region, l.second.Load())
		if len(relays) == 0 {
			return true
		}
		l.sent.Store(int64(max(time.Since(l.since), 1)))
		if l.relay.Home(tunnel.Home{Deadline: deadline, Relays: relays}) == nil { // else its pings see to it
			told++
		}
		return told < n
	})
	u.metrics.home.Add(float64(told))
	return told
}

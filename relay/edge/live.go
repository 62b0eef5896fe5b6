package edge

import "net/netip"

// Live are the options that can be changed while an Edge serves: see Apply.
type Live struct {
	TrustedProxies []netip.Prefix // who may use ServePlain
	Limits         Limits         // of which only those below Conns change, and Conns
	AccessLog      int            // one of so many requests that went well and quickly has its event in the log; 0: none
}

// live is a Live at work.
type live struct {
	trusted             []netip.Prefix
	accessLog           int
	conns               int
	paced               bool // bytes are limited
	byDevice, byAccount *quotas
	device, account     allowance
}

// newLive keeps the quotas of before where their allowance is the same.
func (e *Edge) newLive(o Live, before *live) *live {
	l := o.Limits.withDefaults()
	v := &live{
		trusted: o.TrustedProxies, accessLog: o.AccessLog, conns: l.Conns, paced: l.BytesPerDevice > 0 || l.BytesPerAccount > 0,
		device:  allowance{opens: l.OpensPerDevice, bytes: l.BytesPerDevice},
		account: allowance{streams: l.StreamsPerAccount, opens: l.OpensPerAccount, bytes: l.BytesPerAccount},
	}
	debt := e.o.Limits.Progress / 4
	if v.byDevice = newQuotas(v.device, "this PBX", "device", debt, e.m.limited); before != nil && before.device == v.device {
		v.byDevice = before.byDevice
	}
	if v.byAccount = newQuotas(v.account, "this provider's PBXs", "account", debt, e.m.limited); before != nil && before.account == v.account {
		v.byAccount = before.byAccount
	}
	return v
}

// Apply puts o in force for connections and requests from now on. Of the limits
// it takes Conns and those for each device and account that are not of
// streams kept; the others stay what New was given.
func (e *Edge) Apply(o Live) { e.live.Store(e.newLive(o, e.live.Load())) }

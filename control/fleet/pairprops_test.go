package fleet_test

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"trunkline/control/fleet"
	"trunkline/control/license"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

// Whatever two servers and a stranger say, in whatever order, late, twice or
// not at all, and whoever is removed or comes back: a pair is two devices of
// which one serves, an epoch has one active device, and no connection is taken
// twice or given away unpaid. Once both speak the truth again they are a pair.
func TestPairsHold(t *testing.T) {
	checks(t, "40") // each is a hundred transactions: a tenth of a second
	w := newTwins(t, 1)
	rapid.Check(t, func(r *rapid.T) {
		x := &drill{twins: w, r: r, owner: w.signIn(owner), actives: map[string]id.Device{}, epochs: map[id.Site]uint64{}, words: map[id.Device]fleet.HotStandby{}}
		x.reset()
		for range rapid.IntRange(5, 30).Draw(r, "steps") {
			x.step()
			x.check()
		}
		x.settle()
	})
}

// checks has rapid try so many times, unless -rapid.checks says how often.
func checks(t *testing.T, n string) {
	t.Helper()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if given {
		return
	}
	f := flag.Lookup("rapid.checks")
	if err := f.Value.Set(n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Value.Set(f.DefValue) })
}

// drill is one run of the property.
type drill struct {
	*twins
	r       *rapid.T
	owner   fleet.Principal
	servers [3]server // the primary, the secondary, a stranger
	said    []word    // to be said again
	claim   uint64

	actives map[string]id.Device // by site and epoch
	epochs  map[id.Site]uint64
	words   map[id.Device]fleet.HotStandby // as on record
}

type server struct {
	pbx
	kind   string
	device id.Device // "": not activated
}

type word struct {
	device id.Device
	facts  *tunnel.Standby
}

// reset begins with an empty account: a database for each run would take most
// of the time.
func (x *drill) reset() {
	x.wait(time.Hour) // nothing of the run before counts against this one
	list, err := x.Devices(x.Context(), x.owner, fleet.DeviceQuery{})
	if err != nil {
		x.r.Fatal(err)
	}
	for _, d := range list.Items {
		x.must(x.RemoveDevice(x.Context(), x.owner, d.ID, ""))
	}
	x.servers = [3]server{{newPBX(primarySN), primary, ""}, {newPBX(secondarySN), secondary, ""}, {newPBX("SN-THIRD"), secondary, ""}}
	x.license = license.License{Plan: "standard", Connections: rapid.IntRange(1, 3).Draw(x.r, "connections")}
}

func (x *drill) must(err error) {
	if err != nil {
		x.r.Fatal(err)
	}
}

func (x *drill) step() {
	i := rapid.SampledFrom([]int{0, 0, 1, 1, 2}).Draw(x.r, "server")
	s := &x.servers[i]
	switch what := rapid.SampledFrom([]string{"activate", "say", "say", "say", "again", "lose", "remove", "wait", "extend"}).Draw(x.r, "what"); {
	case what == "wait":
		x.wait(time.Duration(rapid.IntRange(1, 11).Draw(x.r, "minutes")) * time.Minute)
		x.must(x.SweepPairs(x.Context()))
		x.nobodyWaits()
	case what == "extend":
		x.license.Connections++
	case what == "again" && len(x.said) > 0:
		late := rapid.SampledFrom(x.said).Draw(x.r, "late")
		x.says(late.device, late.facts)
	case s.device == "" || what == "activate":
		x.activate(s, x.facts(i))
	case what == "say":
		x.say(s.device, x.facts(i))
	case what == "lose":
		x.rev++
		x.ApplyRoute(fleet.RouteEvent{Route: x.route(s.device, "r1", fault.PeerSilent), Epoch: "e1", Rev: x.rev})
		x.must(x.Facts(x.Context()))
	case what == "remove":
		x.must(x.RemoveDevice(x.Context(), x.owner, s.device, ""))
		s.device = ""
	}
}

func (x *drill) activate(s *server, h *tunnel.Standby) {
	a := s.request()
	if h != nil {
		a.HotStandby = pairFacts(h.Type, h.Role, h.Peer, h.Claim)
	}
	g, err := x.Activate(x.Context(), a)
	switch code := fault.CodeOf(err); {
	case code == "", code == fault.NoConnections, code == fault.Invalid && h.Peer == s.serial:
	default:
		x.r.Fatal(err)
	}
	if err == nil {
		s.device = g.Device
	}
}

func (x *drill) say(d id.Device, h *tunnel.Standby) {
	x.said = append(x.said, word{d, h})
	x.says(d, h)
}

// facts are what a server may say: the truth, a mistake, or nothing of a pair.
func (x *drill) facts(i int) *tunnel.Standby {
	if rapid.IntRange(0, 5).Draw(x.r, "single") == 0 {
		return nil
	}
	x.claim += uint64(rapid.IntRange(0, 2).Draw(x.r, "claim"))
	peer := [3]id.Serial{secondarySN, primarySN, primarySN}[i]
	if rapid.IntRange(0, 7).Draw(x.r, "mistaken") == 0 {
		peer = rapid.SampledFrom([]id.Serial{primarySN, secondarySN, "SN-THIRD", "SN-NONE"}).Draw(x.r, "peer")
	}
	return &tunnel.Standby{Type: x.servers[i].kind, Role: rapid.SampledFrom([]string{active, standbyRole}).Draw(x.r, "role"), Peer: peer, Claim: x.claim}
}

// check is what holds at all times.
func (x *drill) check() {
	list, err := x.Devices(x.Context(), x.owner, fleet.DeviceQuery{})
	x.must(err)
	sites := map[id.Site][]fleet.Device{}
	for _, d := range list.Items {
		sites[d.Site] = append(sites[d.Site], d)
		was := x.words[d.ID]
		if x.words[d.ID] = d.HotStandby; was.Enabled && d.HotStandby.Enabled && d.HotStandby.Claim < was.Claim {
			x.r.Fatalf("late word counts: %+v, then %+v", was, d.HotStandby)
		}
	}
	licensed := 0
	for s, ds := range sites {
		if !ds[0].OverCapacity {
			licensed++
		}
		x.checkSite(s, ds)
	}
	if used := x.used(); used != licensed || used > x.license.Connections {
		x.r.Fatalf("%d used of %d, by %d sites", used, x.license.Connections, licensed)
	}
}

func (x *drill) checkSite(s id.Site, ds []fleet.Device) {
	var at fleet.Site
	x.tx(func(tx fleet.Tx) (err error) { at, err = tx.Site(s); return err })
	if at.Epoch < x.epochs[s] {
		x.r.Fatalf("the epoch of %s fell from %d to %d", s, x.epochs[s], at.Epoch)
	}
	x.epochs[s] = at.Epoch
	if at.Active != "" {
		key := fmt.Sprint(s, at.Epoch)
		if was := x.actives[key]; was != "" && was != at.Active {
			x.r.Fatalf("epoch %d has %s and %s", at.Epoch, was, at.Active)
		}
		x.actives[key] = at.Active
	}
	switch len(ds) {
	case 1:
		if d := ds[0]; d.Mark != "" || d.Peer != "" || at.Active != "" || at.Alarm != "" {
			x.r.Fatalf("alone, and in a pair: %+v, %+v", d, at)
		}
	case 2:
		a, b := ds[0], ds[1]
		if b.ID == at.Active {
			a, b = b, a
		}
		if a.ID != at.Active || a.Mark != fleet.MarkActive || b.Mark != fleet.MarkStandby || a.Peer != b.ID || b.Peer != a.ID || a.OverCapacity != b.OverCapacity {
			x.r.Fatalf("no pair: %+v, %+v, %+v", a, b, at)
		}
	default:
		x.r.Fatalf("%d devices on a site", len(ds))
	}
}

// nobodyWaits: a sweep leaves no connection idle that somebody waits for.
func (x *drill) nobodyWaits() {
	o, err := x.Overview(x.Context(), x.owner)
	x.must(err)
	if o.OverCapacity > 0 && x.used() < x.license.Connections {
		x.r.Fatalf("%d wait with %d used of %d", o.OverCapacity, x.used(), x.license.Connections)
	}
}

// settle lets the stranger go and the two say the truth: they are one site.
func (x *drill) settle() {
	if third := x.servers[2].device; third != "" {
		x.must(x.RemoveDevice(x.Context(), x.owner, third, ""))
	}
	x.must(x.SweepPairs(x.Context()))
	x.claim++
	truth := [2]*tunnel.Standby{
		{Type: primary, Role: standbyRole, Peer: secondarySN, Claim: x.claim},
		{Type: secondary, Role: active, Peer: primarySN, Claim: x.claim + 1},
	}
	for i, h := range truth { // who is there speaks first: the other one may come in by its word alone
		if d := x.servers[i].device; d != "" {
			x.says(d, h)
		}
	}
	for i, h := range truth {
		if s := &x.servers[i]; s.device == "" {
			x.activate(s, h)
		}
	}
	for range 2 { // twice changes nothing
		for i, h := range truth {
			x.says(x.servers[i].device, h)
		}
		x.must(x.SweepPairs(x.Context()))
		x.check()
		p, s := x.device(x.servers[0].device), x.device(x.servers[1].device)
		if p.Site != s.Site || s.Mark != fleet.MarkActive || x.used() != 1 || s.OverCapacity || !p.Joined.IsZero() || !s.Joined.IsZero() {
			x.r.Fatalf("no pair in the end, %d used:\n%+v\n%+v", x.used(), p, s)
		}
	}
}
